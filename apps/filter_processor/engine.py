"""From changes to deliveries: keeps the last known state of every entity and asks the matcher who had it.

A change that more sessions see than `max_affected` is conflated: who lost it is told at once, who sees
it gets its newest version with a slow tick. Until then the entity waits by its id alone: however often it
changes it waits once, and what is delivered is what is true then.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from apps.contracts import entities, protocol
from apps.contracts.bus import Item
from apps.contracts.entities import EntityChanged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apps.filter_processor.gateways import Hit
    from apps.filter_processor.matcher import Matcher

#: Seen by nobody, before and after.
_NOTHING: Final = EntityChanged("", 0, "", 0.0, 0.0, 0, deleted=True)


@dataclass(slots=True)
class Counts:
    """What the engine did since the process started."""

    applied: int = 0
    stale: int = 0
    duplicates: int = 0
    deliveries: int = 0
    #: Changes put off because more sessions than the cap see them.
    conflated: int = 0
    #: Entities delivered by the slow tick.
    released: int = 0


class Engine:
    """Idempotent by entity and version: a duplicate is skipped, an older version only takes itself away."""

    def __init__(self, matcher: Matcher, max_tombstones: int, max_affected: int = sys.maxsize) -> None:
        self.matcher = matcher
        self.counts = Counts()
        #: Encoded, because a million decoded entities would not fit into a small task.
        self._states: dict[str, bytes] = {}
        self._tombstones: dict[str, bytes] = {}
        self._max_tombstones = max_tombstones
        self._max_affected = max_affected
        #: Entities whose newest version is not delivered to all who see it, in the order they began to wait.
        self._waiting: dict[str, None] = {}

    @property
    def size(self) -> int:
        """How many live entities are known."""
        return len(self._states)

    @property
    def waiting(self) -> int:
        """How many entities wait for the slow tick: at most all of them."""
        return len(self._waiting)

    def learn(self, change: EntityChanged) -> None:
        """Take a state without telling anybody: sessions registered later get it from their snapshot."""
        known = self._known(change.id)
        if known is None or known.version < change.version:
            self._keep(change)

    def apply(self, change: EntityChanged, now: float) -> list[tuple[str, Item]]:
        """Take a change and return what each gateway must be told."""
        return self.apply_all([change], now)[0]

    def apply_all(self, changes: Sequence[EntityChanged], now: float) -> list[list[tuple[str, Item]]]:
        """Take changes in order and return, for each, what each gateway must be told."""
        # before and after, and whether `before` is what came, too late
        steps: list[tuple[EntityChanged | None, EntityChanged, bool]] = []
        for change in changes:
            known = self._known(change.id)
            if known is None or known.version < change.version:
                self._keep(change)
                self.counts.applied += 1
                steps.append((known, change, False))
            elif known.version > change.version:
                # a snapshot may have shown this older state, which we did not know when the newer one came
                self.counts.stale += 1
                steps.append((change, known, True))
            else:
                self.counts.duplicates += 1
                steps.append((None, _NOTHING, False))
        matched = self.matcher.match_all([(before, after) for before, after, _ in steps], now)
        return [
            list(self._deliver(after, [replace(hit, shown=b"") for hit in hits] if late else hits, not late))
            for (_, after, late), hits in zip(steps, matched, strict=True)
        ]

    def release(self, now: float) -> Iterator[tuple[str, Item]]:
        """Yield the newest version of the entity that has waited longest, for everyone who sees it."""
        entity_id = next(iter(self._waiting), None)
        if entity_id is None:
            return
        del self._waiting[entity_id]
        # if it is gone by now, those who had it were told when it went
        data = self._states.get(entity_id)
        if data is not None:
            self.counts.released += 1
            newest = entities.decode(data)
            yield from self._deliver(newest, self.matcher.match(None, newest, now), False)

    def _deliver(self, after: EntityChanged, hits: list[Hit], capped: bool) -> Iterator[tuple[str, Item]]:
        shown: bytes | None = None
        gone: bytes | None = None
        put_off = False
        if capped:
            put_off = sum([len(hit.shown) for hit in hits]) > 4 * self._max_affected
            if put_off:
                self.counts.conflated += 1
                self._waiting.setdefault(after.id)
            elif self._waiting:
                # everyone who sees it is told now
                self._waiting.pop(after.id, None)
        for hit in hits:
            if hit.shown and not put_off:
                if shown is None:
                    shown = protocol.upsert(protocol.encode_entity(protocol.view_of(after)))
                yield self._item(hit.gateway, after, shown, hit.shown, removed=False)
            if hit.gone:
                if gone is None:
                    gone = protocol.remove(after.id, after.version)
                yield self._item(hit.gateway, after, gone, hit.gone, removed=True)

    def _item(
        self, gateway: str, change: EntityChanged, body: bytes, slots: bytes, *, removed: bool
    ) -> tuple[str, Item]:
        self.counts.deliveries += len(slots) // 4
        return gateway, Item(change.id, change.version, removed, body, slots, change.trace, change.changed_at)

    def _known(self, entity_id: str) -> EntityChanged | None:
        data = self._states.get(entity_id) or self._tombstones.get(entity_id)
        return None if data is None else entities.decode(data)

    def _keep(self, change: EntityChanged) -> None:
        if not change.deleted:
            self._tombstones.pop(change.id, None)
            self._states[change.id] = entities.encode(change)
            return
        self._states.pop(change.id, None)
        self._tombstones[change.id] = entities.encode(change)
        if len(self._tombstones) > self._max_tombstones:
            del self._tombstones[next(iter(self._tombstones))]
