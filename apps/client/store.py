"""What the server has told us, by entity: the newest version wins, whatever the order of arrival. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Entity = dict[str, Any]

#: Removals kept, so that an older upsert can't bring an entity back; the oldest go first.
REMEMBERED: Final = 5000


@dataclass(slots=True)
class Changes:
    """What one frame changed; `at` is when the server sent a delta, in milliseconds since the epoch."""

    upserts: list[Entity] = field(default_factory=list[Entity])
    removes: list[str] = field(default_factory=list[str])
    snapshot: bool = False
    truncated: bool = False
    at: int | None = None


class Store:
    """The merged state and where it stands."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.removed: dict[str, int] = {}
        self.epoch: str | None = None
        self.seq = 0

    def snapshot(self, frame: dict[str, Any]) -> Changes:
        """Replace everything; within an epoch, what a delta brought newer than the snapshot stays."""
        same = frame["epoch"] == self.epoch
        before, self.entities = self.entities, {}
        changes = Changes(snapshot=True, truncated=bool(frame.get("truncated")))
        for fresh in frame["entities"]:
            name, version = fresh["id"], fresh["version"]
            known = before.get(name)
            if same and known is None and self.removed.get(name, version) > version:
                continue
            if known is not None and (known["version"] == version or (same and known["version"] > version)):
                self.entities[name] = known
            else:
                self.entities[name] = fresh
                changes.upserts.append(fresh)
        changes.removes = [name for name in before if name not in self.entities]
        self.removed.clear()
        self.epoch, self.seq = frame["epoch"], frame["seq"]
        return changes

    def delta(self, frame: dict[str, Any]) -> Changes:
        """Apply operations; those of another epoch than the snapshot's say nothing about what we hold."""
        changes = Changes(at=frame.get("at"))
        if self.epoch is None:
            self.epoch = frame["epoch"]
        if frame["epoch"] != self.epoch:
            return changes
        for operation in frame["ops"]:
            if operation["op"] == "upsert":
                self._upsert(operation["entity"], changes)
            elif operation["op"] == "remove":
                self._remove(operation["id"], operation["version"], changes)
        self.seq = max(self.seq, frame["seq"])
        return changes

    def _upsert(self, entity: Entity, changes: Changes) -> None:
        name, version = entity["id"], entity["version"]
        known = self.entities.get(name)
        if (known is not None and known["version"] >= version) or self.removed.get(name, version) > version:
            return
        self.removed.pop(name, None)
        self.entities[name] = entity
        changes.upserts.append(entity)

    def _remove(self, name: str, version: int, changes: Changes) -> None:
        known = self.entities.get(name)
        if known is not None and known["version"] > version:
            return
        if self.entities.pop(name, None) is not None:
            changes.removes.append(name)
        self.removed.pop(name, None)
        self.removed[name] = version
        if len(self.removed) > REMEMBERED:
            del self.removed[next(iter(self.removed))]
