"""Follows the stream of entity changes by id; where its place is lost it catches up from PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import psycopg
from redis.exceptions import ResponseError

from apps.contracts import entities
from apps.contracts.entities import ENTITY_FIELD, ENTITY_STREAM
from apps.filter_processor.intake import now_ms
from apps.platform import postgres
from apps.platform.log import Log
from apps.platform.pacing import run_until
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.filter_processor.engine import Engine
    from apps.filter_processor.publisher import Publisher
    from apps.filter_processor.store import EntityStore
    from apps.platform.redis import Redis

log = Log("slipway.consumer")

#: How long one read waits for new entries, and how often the stream's own state is looked at.
BLOCK_MILLISECONDS: Final = 1000
CHECK_SECONDS: Final = 1.0
#: Changes matched before the event loop may do something else: some milliseconds.
_AT_ONCE: Final = 64
_START: Final = "0-0"


class GapError(Exception):
    """Entries between our place in the stream and its first one are gone."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the server says of itself and the stream."""

    run: str = ""
    last: str = _START
    added: int = 0
    #: Id of the oldest entry that is left; empty: none is.
    first: str = ""
    length: int = 0


def order_of(entry: str) -> tuple[int, int]:
    """Return a stream id as two numbers: they compare as the stream does."""
    time_part, _, sequence = entry.partition("-")
    return int(time_part), int(sequence or 0)


def gap_between(place: str, before: StreamState, now: StreamState) -> str:
    """Say why entries may have been missed since `before`, or return an empty text."""
    if now.run != before.run:
        return "another server answers"
    if order_of(now.last) < order_of(place) or now.added < before.added:
        return "the stream began again"
    if now.last == place or now.length == now.added:
        return ""  # all read, or nothing was ever trimmed
    if not now.first or order_of(now.first) > order_of(place):
        # perhaps only our own place was trimmed: then catching up finds nothing new
        return "entries were trimmed before they were read"
    return ""


class Consumer:
    """A service: state from PostgreSQL, then every change once or more, in the stream's order."""

    name = "consumer"

    def __init__(
        self,
        redis: Redis,
        store: EntityStore,
        engine: Engine,
        publisher: Publisher,
        *,
        batch: int,
        tick_seconds: float,
        catch_up_seconds: float,
    ) -> None:
        #: Set once the first state is complete: shards are taken only then.
        self.loaded = asyncio.Event()
        #: Told after a gap was closed; set by who wires.
        self.restate: Callable[[], None] = lambda: None
        self.gaps = 0
        self.undecodable = 0
        self._redis = cast("Any", redis)
        self._store = store
        self._engine = engine
        self._publisher = publisher
        self._batch = batch
        self._tick = tick_seconds
        self._catch_up_ms = int(catch_up_seconds * 1000)
        self._place = _START
        self._state = StreamState()
        self._newest = 0
        self._checked_at = 0.0

    @property
    def lag_milliseconds(self) -> int:
        """How far our place is behind the stream's end as it was last seen, in the stream's own time."""
        return max(0, order_of(self._state.last)[0] - order_of(self._place)[0])

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the stream until told to stop."""
        await run_until(stop, self._follow_for_ever(stop))

    async def _follow_for_ever(self, stop: asyncio.Event) -> None:
        attempt = 0
        lost = True
        while not stop.is_set():
            try:
                if lost:
                    await self._close_gap()
                    lost = False
                attempt = 0
                await self._follow(stop)
            except GapError as gap:
                self.gaps += 1
                lost = True
                log.warning("consumer.gap", reason=str(gap), place=self._place)
            except (*UNAVAILABLE, RedisError, *postgres.UNAVAILABLE, psycopg.Error) as error:
                wait = min(2.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
                attempt = min(attempt + 1, 6)
                log.warning(
                    "consumer.away", error=f"{type(error).__name__}: {error}", retry_seconds=round(wait, 2)
                )
                await asyncio.sleep(wait)
            else:
                attempt = 0

    async def _close_gap(self) -> None:
        """Remember the end of the stream, read the database up to now, and go on from the remembered end."""
        state = await self._look()
        begun = time.monotonic()
        count = 0
        if not self.loaded.is_set():
            async for changes in self._store.every(self._catch_up_ms / 1000):
                for change in changes:
                    self._newest = max(self._newest, change.changed_at)
                    self._engine.learn(change)
                count += len(changes)
        else:
            async for changes in self._store.since(self._newest - self._catch_up_ms):
                await self._publisher.room()
                self._apply(changes)
                count += len(changes)
        self._state, self._place = state, state.last
        log.info(
            "consumer.caught_up",
            entities=count,
            place=self._place,
            seconds=round(time.monotonic() - begun, 3),
        )
        if self.loaded.is_set():
            self.restate()
        self.loaded.set()

    async def _follow(self, stop: asyncio.Event) -> None:
        # a cancelled read of redis-py may end as if it were not (seen under load): the event is asked too
        while not stop.is_set():
            await self._publisher.room()
            answer = await self._redis.xread(
                {ENTITY_STREAM: self._place}, count=self._batch, block=BLOCK_MILLISECONDS
            )
            entries: list[tuple[bytes, dict[bytes, bytes]]] = _entries(answer)
            if time.monotonic() - self._checked_at >= CHECK_SECONDS or len(entries) == self._batch:
                # before the place moves on: what was trimmed unread shows only against the place we read from
                await self._check()
            read_at = time.monotonic()
            for start in range(0, len(entries), _AT_ONCE):
                if start:
                    # viewports and heartbeats come in between
                    await asyncio.sleep(0)
                part = entries[start : start + _AT_ONCE]
                self._apply([change for entry in part if (change := self._decoded(*entry)) is not None])
                self._place = part[-1][0].decode()
            if len(entries) < self._batch:
                # what comes meanwhile is read at once: a read costs more than to match what it brings
                await asyncio.sleep(max(0.0, read_at + self._tick - time.monotonic()))

    async def _check(self) -> None:
        state = await self._look()
        reason = gap_between(self._place, self._state, state)
        if reason:
            raise GapError(reason)
        self._state = state

    async def _look(self) -> StreamState:
        self._checked_at = time.monotonic()
        server: dict[str, Any] = await self._redis.info("server")
        try:
            info: dict[str, Any] = await self._redis.xinfo_stream(ENTITY_STREAM)
        except ResponseError:
            # the stream does not exist yet
            return StreamState(str(server["run_id"]))
        oldest = info["first-entry"]
        return StreamState(
            str(server["run_id"]),
            _text(info["last-generated-id"]),
            int(info["entries-added"]),
            _text(oldest[0]) if oldest else "",
            int(info["length"]),
        )

    def _decoded(self, entry: bytes, fields: dict[bytes, bytes]) -> entities.EntityChanged | None:
        try:
            return entities.decode(fields[ENTITY_FIELD])
        except (msgspec.MsgspecError, KeyError):
            self.undecodable += 1
            log.exception("consumer.undecodable", entry=entry.decode())
            return None

    def _apply(self, changes: list[entities.EntityChanged]) -> None:
        told = self._engine.apply_all(changes, now_ms())
        for change, items in zip(changes, told, strict=True):
            self._newest = max(self._newest, change.changed_at)
            for gateway, item in items:
                self._publisher.add(gateway, item)
            log.debug(
                "change.matched",
                entity=change.id,
                version=change.version,
                messages=len(items),
                traceparent=change.trace.traceparent,
                correlation_id=change.trace.correlation_id,
            )


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of the one stream we read, whichever protocol version shaped the answer."""
    if not answer:
        return []
    if isinstance(answer, dict):
        found = cast("list[Any]", next(iter(cast("dict[Any, Any]", answer).values())))
        # RESP3 nests the list once more
        return cast("Any", found[0] if found and isinstance(found[0], list) else found)
    return answer[0][1]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
