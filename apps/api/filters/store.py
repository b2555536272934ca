"""Saved filters in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg.types.json import Jsonb

from apps.api.filters.schemas import FilterInput, FilterView
from apps.contracts.filters import Condition
from apps.platform.queries import load_queries

if TYPE_CHECKING:
    from apps.platform.postgres import Connection

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))


async def all_of(connection: Connection, owner: str) -> list[FilterView]:
    """Read a user's filters."""
    cursor = await connection.execute(QUERIES["all_of"].sql, {"owner": owner})
    return [_view(row) for row in await cursor.fetchall()]


async def read(connection: Connection, owner: str, filter_id: str) -> FilterView | None:
    """Read one of a user's filters."""
    return await _one(connection, "read", {"owner": owner, "id": filter_id})


async def create(
    connection: Connection, owner: str, filter_id: str, given: FilterInput, *, most: int
) -> FilterView | None:
    """Insert; None when the user has `most` already."""
    return await _one(connection, "create", {**_parameters(owner, filter_id, given), "most": most})


async def replace(
    connection: Connection, owner: str, filter_id: str, given: FilterInput
) -> FilterView | None:
    """Replace; None when the user has no such filter."""
    return await _one(connection, "replace", _parameters(owner, filter_id, given))


async def remove(connection: Connection, owner: str, filter_id: str) -> FilterView | None:
    """Delete; None when the user has no such filter."""
    return await _one(connection, "remove", {"owner": owner, "id": filter_id})


def _parameters(owner: str, filter_id: str, given: FilterInput) -> dict[str, Any]:
    return {
        "id": filter_id,
        "owner": owner,
        "name": given.name,
        "kinds": given.kinds,
        "conditions": Jsonb(msgspec.to_builtins(given.where)),
    }


async def _one(connection: Connection, name: str, parameters: dict[str, Any]) -> FilterView | None:
    cursor = await connection.execute(QUERIES[name].sql, parameters)
    row = await cursor.fetchone()
    return None if row is None else _view(row)


def _view(row: tuple[Any, ...]) -> FilterView:
    filter_id, name, kinds, conditions = row
    return FilterView(filter_id, name, kinds, msgspec.convert(conditions, list[Condition]))
