"""Entities in PostgreSQL: the named queries, rows to views and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from apps.api.entities.schemas import AccessInput, AccessView, BulkItem, EntityView
from apps.contracts.access import sees_all
from apps.platform.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.platform.auth import Identity
    from apps.platform.postgres import Connection

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))


async def create(connection: Connection, entity: EntityView) -> EntityView | None:
    """Insert; None when a live entity has the id."""
    return await _one(connection, "create", _parameters(entity))


async def read(connection: Connection, entity_id: str, *, lock: bool = False) -> EntityView | None:
    """Read one live entity, locked when it is about to change."""
    return await _one(connection, "read_for_change" if lock else "read", {"id": entity_id})


async def change(connection: Connection, entity: EntityView) -> EntityView | None:
    """Store what changed; the row comes back with its new version."""
    return await _one(connection, "change", _parameters(entity))


async def remove(connection: Connection, entity_id: str) -> EntityView | None:
    """Leave a tombstone; the row comes back with its last version."""
    return await _one(connection, "remove", {"id": entity_id})


async def upsert_many(
    connection: Connection, items: Sequence[BulkItem], caller: Identity
) -> list[EntityView]:
    """Insert or change all (ids are distinct); what others own is not among the returned."""
    attributes = [item.attributes if isinstance(item.attributes, dict) else None for item in items]
    access = [item.access if isinstance(item.access, AccessInput) else None for item in items]
    parameters = {
        "owner": caller.user,
        "admin": sees_all(caller.scopes),
        "ids": [item.id for item in items],
        "kinds": [item.kind for item in items],
        "lats": [item.lat for item in items],
        "lons": [item.lon for item in items],
        "headings": [item.heading for item in items],
        "attributes": [None if value is None else Jsonb(value) for value in attributes],
        "access_rules": [None if value is None else value.rule for value in access],
        "access_groups": [None if value is None else value.group for value in access],
        "keep_attributes": [item.id for item, value in zip(items, attributes, strict=True) if value is None],
        "keep_access": [item.id for item, value in zip(items, access, strict=True) if value is None],
    }
    return await _many(connection, "upsert_many", parameters)


async def in_box(
    connection: Connection,
    box: tuple[float, float, float, float],
    caller: Identity,
    *,
    kinds: Sequence[str] | None,
    limit: int,
) -> list[EntityView]:
    """Read at most `limit` entities of one box, in no order."""
    west, south, east, north = box
    parameters = {
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "user": caller.user,
        "admin": sees_all(caller.scopes),
        "groups": sorted(caller.groups),
        "kinds": None if kinds is None else list(kinds),
        "limit": limit,
    }
    return await _many(connection, "in_box", parameters)


async def _one(connection: Connection, name: str, parameters: dict[str, Any]) -> EntityView | None:
    cursor = await connection.execute(QUERIES[name].sql, parameters)
    row = await cursor.fetchone()
    return None if row is None else _view(row)


async def _many(connection: Connection, name: str, parameters: dict[str, Any]) -> list[EntityView]:
    cursor = await connection.execute(QUERIES[name].sql, parameters)
    return [_view(row) for row in await cursor.fetchall()]


def _view(row: tuple[Any, ...]) -> EntityView:
    entity_id, kind, lat, lon, heading, attributes, rule, owner, group, version, changed_at = row
    return EntityView(
        id=entity_id,
        kind=kind,
        lat=lat,
        lon=lon,
        heading=heading,
        attributes=attributes,
        access=AccessView(rule, owner, group),
        version=version,
        changed_at=changed_at,
    )


def _parameters(entity: EntityView) -> dict[str, Any]:
    return {
        "id": entity.id,
        "kind": entity.kind,
        "lat": entity.lat,
        "lon": entity.lon,
        "heading": entity.heading,
        "attributes": Jsonb(entity.attributes),
        "access_rule": entity.access.rule,
        "access_owner": entity.access.owner,
        "access_group": entity.access.group,
    }
