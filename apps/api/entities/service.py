"""Use cases of entities: each change is one transaction that also writes its message to the outbox."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from apps.api.entities import domain, store
from apps.api.entities.schemas import (
    BulkAccepted,
    BulkItem,
    BulkRejected,
    BulkResult,
    Deleted,
    EntityInput,
    EntityPatch,
    EntityView,
    Snapshot,
)
from apps.contracts.entities import ENTITY_STREAM, encode
from apps.contracts.filters import SavedFilter, matches
from apps.platform import body, telemetry
from apps.platform.errors import ConflictError, NotFoundError, summarize
from apps.platform.outbox import enqueue, stream
from apps.platform.postgres import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apps.api.entities.domain import Viewport
    from apps.platform.auth import Identity
    from apps.platform.postgres import Connection, Pool

#: With a saved filter rows are judged here: read at most this many times the limit before giving up.
_SCAN_FACTOR: Final = 4
_DESTINATION: Final = stream(ENTITY_STREAM)


class EntityService:
    """One method per use case; `wake` tells the outbox relay that something was committed."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def create(self, caller: Identity, given: EntityInput) -> EntityView:
        """Create; 409 when a live entity has the id, also one that the caller can't see."""
        domain.require_group(given.access, caller)
        wanted = EntityView(
            id=given.id or secrets.token_hex(12),
            kind=given.kind,
            lat=given.lat,
            lon=given.lon,
            heading=domain.normalized(given.heading),
            attributes=given.attributes,
            access=domain.merged(given.access, caller.user),
            version=1,
            changed_at=0,
        )
        async with transaction(self._pool) as connection:
            entity = await store.create(connection, wanted)
            if entity is None:
                raise ConflictError(
                    f"an entity {wanted.id} exists already; change it with PATCH or upsert it in a bulk",
                    code="entity.exists",
                )
            await _announce(connection, [entity])
        self._wake()
        return entity

    async def read(self, caller: Identity, entity_id: str) -> EntityView:
        """Read one; 404 also when the caller may not see it."""
        async with self._pool.connection() as connection:
            entity = await store.read(connection, entity_id)
        return _visible(entity, entity_id, caller)

    async def change(
        self, caller: Identity, entity_id: str, patch: EntityPatch, if_match: str | None
    ) -> EntityView:
        """Move or change; the lock on the row makes versions rise one by one."""
        async with transaction(self._pool) as connection:
            before = _visible(await store.read(connection, entity_id, lock=True), entity_id, caller)
            domain.require_writable(before, caller)
            domain.require_version(before, if_match)
            if patch.access is not UNSET:
                domain.require_group(patch.access, caller)
            entity = _found(await store.change(connection, _patched(before, patch)), entity_id)
            await _announce(connection, [entity])
        self._wake()
        return entity

    async def remove(self, caller: Identity, entity_id: str, if_match: str | None) -> Deleted:
        """Delete; the version goes on, so that late messages of before are known to be late."""
        async with transaction(self._pool) as connection:
            before = _visible(await store.read(connection, entity_id, lock=True), entity_id, caller)
            domain.require_writable(before, caller)
            domain.require_version(before, if_match)
            entity = _found(await store.remove(connection, entity_id), entity_id)
            await _announce(connection, [entity], deleted=True)
        self._wake()
        return Deleted(entity.id, entity.version)

    async def bulk(self, caller: Identity, rows: Sequence[Any]) -> BulkResult:
        """Upsert what is valid and the caller's, report the rest; all of it in one transaction."""
        wanted, rejected = _judge(rows, caller)
        entities: list[EntityView] = []
        if wanted:
            async with transaction(self._pool) as connection:
                items = [item for item, _ in wanted.values()]
                entities = await store.upsert_many(connection, items, caller)
                await _announce(connection, entities)
            self._wake()
        stored = {entity.id for entity in entities}
        rejected += [
            BulkRejected(place, "entity.not_owner", f"entity {item.id} belongs to somebody else", item.id)
            for item, places in wanted.values()
            if item.id not in stored
            for place in places
        ]
        accepted = len(rows) - len(rejected)
        return BulkResult(
            accepted=accepted,
            superseded=accepted - len(entities),
            results=[BulkAccepted(entity.id, entity.version) for entity in entities],
            rejected=sorted(rejected, key=lambda item: item.index),
        )

    async def snapshot(
        self,
        caller: Identity,
        viewport: Viewport,
        *,
        kinds: Sequence[str] | None,
        saved: SavedFilter | None,
        limit: int,
    ) -> Snapshot:
        """Read what is inside now, at most `limit`; rows read are bounded whatever the filter refuses."""
        if saved is not None and saved.kinds:
            kinds = [kind for kind in saved.kinds if kinds is None or kind in kinds]
        scan = limit + 1 if saved is None else limit * _SCAN_FACTOR + 1
        read: list[EntityView] = []
        async with self._pool.connection() as connection:
            for box in viewport.boxes():
                if len(read) < scan:
                    read += await store.in_box(connection, box, caller, kinds=kinds, limit=scan - len(read))
        kept = [item for item in read if saved is None or matches(saved, item.kind, item.attributes)]
        return Snapshot(kept[:limit], truncated=len(kept) > limit or len(read) >= scan)


def _judge(
    rows: Sequence[Any], caller: Identity
) -> tuple[dict[str, tuple[BulkItem, list[int]]], list[BulkRejected]]:
    """The last valid row of each id with all its places, and what is wrong with the others."""
    wanted: dict[str, tuple[BulkItem, list[int]]] = {}
    rejected: list[BulkRejected] = []
    for index, raw in enumerate(rows):
        try:
            item = msgspec.convert(raw, BulkItem)
        except msgspec.ValidationError:
            problem = summarize(body.problems(raw, BulkItem))
            rejected.append(BulkRejected(index, "request.invalid", problem, _id_of(raw)))
            continue
        refusal = "" if item.access is UNSET else domain.group_problem(item.access, caller)
        if refusal:
            rejected.append(BulkRejected(index, "group.not_member", refusal, item.id))
            continue
        if item.heading == 360:
            item = msgspec.structs.replace(item, heading=0.0)
        places = wanted[item.id][1] if item.id in wanted else []
        wanted[item.id] = (item, [*places, index])
    return wanted, rejected


def _id_of(raw: Any) -> str | None:
    found: Any = raw.get("id") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # a body's dict
    return found[:128] if isinstance(found, str) else None


def _patched(before: EntityView, patch: EntityPatch) -> EntityView:
    return msgspec.structs.replace(
        before,
        lat=before.lat if patch.lat is UNSET else patch.lat,
        lon=before.lon if patch.lon is UNSET else patch.lon,
        heading=before.heading if patch.heading is UNSET else domain.normalized(patch.heading),
        attributes=before.attributes if patch.attributes is UNSET else patch.attributes,
        access=before.access if patch.access is UNSET else domain.merged(patch.access, before.access.owner),
    )


async def _announce(connection: Connection, entities: list[EntityView], *, deleted: bool = False) -> None:
    trace = telemetry.current()
    messages = [encode(domain.changed(entity, trace, deleted=deleted)) for entity in entities]
    await enqueue(connection, _DESTINATION, messages)


def _visible(entity: EntityView | None, entity_id: str, caller: Identity) -> EntityView:
    found = _found(entity, entity_id)
    if not domain.visible(found, caller):
        raise _absent(entity_id)
    return found


def _found(entity: EntityView | None, entity_id: str) -> EntityView:
    if entity is None:
        raise _absent(entity_id)
    return entity


def _absent(entity_id: str) -> NotFoundError:
    return NotFoundError(f"there is no entity {entity_id} that you may see", code="entity.not_found")
