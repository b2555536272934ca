"""What the gateway reads from PostgreSQL: snapshots of a view, and the saved filters a view names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apps.contracts import protocol
from apps.contracts.filters import Condition, SavedFilter, matches_any
from apps.contracts.protocol import AccessView, EntityView
from apps.platform.queries import load_queries
from apps.realtime.session import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.contracts.views import KindRules
    from apps.platform.postgres import Pool
    from apps.realtime.session import View

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))
#: Rows decoded and encoded before the event loop may do something else.
_CHUNK: Final = 500


class SnapshotStore:
    """Reads with the same rules that the filter processor matches by."""

    def __init__(self, pool: Pool, rules: KindRules, *, scan_limit: int, max_entities: int) -> None:
        self._pool = pool
        self._rules = rules
        self._scan_limit = scan_limit
        self._max_entities = max_entities

    async def filters(self, user: str, ids: Sequence[str]) -> tuple[SavedFilter, ...]:
        """Return those of `ids` that exist and belong to the user."""
        if not ids:
            return ()
        async with self._pool.connection() as connection:
            cursor = await connection.execute(QUERIES["filters_of"].sql, {"owner": user, "ids": list(ids)})
            rows = await cursor.fetchall()
        return tuple(
            SavedFilter(row[0], row[1], tuple(row[2]), msgspec.convert(row[3], tuple[Condition, ...]), user)
            for row in rows
        )

    async def snapshot(
        self, user: str, groups: Sequence[str], view: View, *, everything: bool = False
    ) -> tuple[list[Row], bool]:
        """Return what a user may see of a view, and whether there was more than one client is shown."""
        found: list[Row] = []
        complete = True
        bounds = view.bounds
        # without filters every row read is a row shown
        most = self._scan_limit if view.filters else self._max_entities + 1
        async with self._pool.connection() as connection:
            for (south, west, north, east), kinds, without in self._rules.parts(
                bounds.south, bounds.west, bounds.north, bounds.east, view.zoom, view.kinds
            ):
                cursor = connection.cursor()
                await cursor.execute(
                    QUERIES["in_box"].sql,
                    {
                        "south": south,
                        "west": west,
                        "north": north,
                        "east": east,
                        "user": user,
                        "groups": list(groups),
                        "everything": everything,
                        "kinds": None if kinds is None else list(kinds),
                        "without": list(without),
                        "most": most,
                    },
                )
                complete = complete and cursor.rowcount < most
                while rows := await cursor.fetchmany(_CHUNK):
                    found += [row for row in (_row(values, view.filters) for values in rows) if row]
                    # the rows are here already: fetching them lets nothing else run
                    await asyncio.sleep(0)
                if len(found) > self._max_entities:
                    break
        truncated = not complete or len(found) > self._max_entities
        return found[: self._max_entities], truncated


def _row(values: tuple[Any, ...], filters: tuple[SavedFilter, ...]) -> Row | None:
    entity_id, kind, lat, lon, heading, attributes, rule, owner, group, version, changed_at = values
    if filters and not matches_any(filters, kind, msgspec.json.decode(attributes)):
        return None
    body = protocol.encode_entity(
        EntityView(
            id=entity_id,
            kind=kind,
            lat=lat,
            lon=lon,
            heading=heading,
            attributes=msgspec.Raw(attributes),
            access=AccessView(rule, owner, group),
            version=version,
            changed_at=changed_at,
        )
    )
    return Row(entity_id, version, body)
