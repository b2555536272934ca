"""Use cases of saved filters: a change also tells the processors to read the user's filters again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from apps.api.entities.domain import trace_of
from apps.api.filters import store
from apps.contracts.filters import FILTERS_CHANNEL, FiltersChanged, SavedFilter, encode_changed
from apps.platform import telemetry
from apps.platform.errors import ConflictError, NotFoundError
from apps.platform.outbox import channel, enqueue
from apps.platform.postgres import transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.api.filters.schemas import FilterInput, FilterView
    from apps.platform.auth import Identity
    from apps.platform.postgres import Connection, Pool

READ: Final = "filters:read"
WRITE: Final = "filters:write"
MAX_FILTERS: Final = 100
_DESTINATION: Final = channel(FILTERS_CHANNEL)


class FilterService:
    """One method per use case; a user only ever meets their own filters."""

    def __init__(self, pool: Pool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def all(self, caller: Identity) -> list[FilterView]:
        """Every filter of the caller."""
        async with self._pool.connection() as connection:
            return await store.all_of(connection, caller.user)

    async def read(self, caller: Identity, filter_id: str) -> FilterView:
        """One filter of the caller."""
        async with self._pool.connection() as connection:
            return _found(await store.read(connection, caller.user, filter_id), filter_id)

    async def saved(self, caller: Identity, filter_id: str) -> SavedFilter:
        """The same, as the contract that decides what matches."""
        found = await self.read(caller, filter_id)
        return SavedFilter(found.id, found.name, tuple(found.kinds), tuple(found.where), caller.user)

    async def create(self, caller: Identity, given: FilterInput) -> FilterView:
        """Save a new filter."""
        async with transaction(self._pool) as connection:
            made = await store.create(connection, caller.user, secrets.token_hex(8), given, most=MAX_FILTERS)
            if made is None:
                raise ConflictError(f"you have {MAX_FILTERS} filters; delete one first", code="filter.limit")
            await _announce(connection, caller)
        self._wake()
        return made

    async def replace(self, caller: Identity, filter_id: str, given: FilterInput) -> FilterView:
        """Save a filter's new content."""
        async with transaction(self._pool) as connection:
            made = _found(await store.replace(connection, caller.user, filter_id, given), filter_id)
            await _announce(connection, caller)
        self._wake()
        return made

    async def remove(self, caller: Identity, filter_id: str) -> None:
        """Delete a filter; viewports that still name it ignore it from then on."""
        async with transaction(self._pool) as connection:
            _found(await store.remove(connection, caller.user, filter_id), filter_id)
            await _announce(connection, caller)
        self._wake()


async def _announce(connection: Connection, caller: Identity) -> None:
    change = FiltersChanged(caller.user, trace_of(telemetry.current()))
    await enqueue(connection, _DESTINATION, [encode_changed(change)])


def _found(found: FilterView | None, filter_id: str) -> FilterView:
    if found is None:
        raise NotFoundError(f"you have no filter {filter_id}", code="filter.not_found")
    return found
