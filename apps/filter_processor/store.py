"""What the processor reads from PostgreSQL: everything once, and what changed since a gap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from apps.contracts.entities import Access, EntityChanged
from apps.platform.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from apps.platform.postgres import Pool

#: Rows fetched at once: the event loop is free again in between.
_FETCH: Final = 1000


QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))


class EntityStore:
    """Streams entities with a cursor of the server: a million of them fit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def every(self, deleted_within: float) -> AsyncGenerator[list[EntityChanged]]:
        """Yield all live entities in batches, and what was deleted within so many seconds."""
        return self._stream("every", {"deleted_within": deleted_within})

    def since(self, milliseconds: int) -> AsyncGenerator[list[EntityChanged]]:
        """Yield what changed since a moment (milliseconds since the epoch), oldest first, with deletions."""
        return self._stream("since", {"since": milliseconds / 1000})

    async def _stream(self, query: str, values: dict[str, Any]) -> AsyncGenerator[list[EntityChanged]]:
        async with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(name=f"processor_{query}") as cursor,
        ):
            await cursor.execute(QUERIES[query].sql, values)
            while rows := await cursor.fetchmany(_FETCH):
                yield [_change(row) for row in rows]


def _change(row: tuple[Any, ...]) -> EntityChanged:
    return EntityChanged(
        id=row[0],
        version=row[1],
        kind=row[2],
        lat=row[3],
        lon=row[4],
        changed_at=row[5],
        heading=row[6],
        attributes=row[7],
        access=Access(row[8], row[9], row[10]),
        deleted=row[11],
    )
