"""What leaves the processor: at most one message per gateway and tick, in order, bounded."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from apps.contracts import bus
from apps.contracts.bus import Active, Delivery, Item
from apps.contracts.entities import Trace
from apps.platform.log import Log
from apps.platform.pacing import Bell, pause
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apps.contracts.bus import Registration
    from apps.platform.redis import Redis

log = Log("slipway.publisher")

#: A subscriber's output buffer on the server is bounded: no message may fill it alone.
MESSAGE_BYTES: Final = 1_000_000
#: What an item costs beside its body and its slots.
_ITEM_BYTES: Final = 96
_NO_TRACE: Final = Trace()
#: Pause after a failed publish: the outage is not made worse by asking as fast as possible.
RETRY_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Outgoing:
    items: list[Item] = field(default_factory=list[Item])
    active: dict[int, list[tuple[int, int, bool]]] = field(
        default_factory=dict[int, list[tuple[int, int, bool]]]
    )
    #: Of the newest registration that is acknowledged.
    trace: Trace = _NO_TRACE


class Publisher:
    """A service: publishes at once, then not again for a tick; what can't be published is told to `lost`."""

    name = "publisher"

    def __init__(
        self,
        redis: Redis,
        processor: str,
        tick_seconds: float,
        max_bytes: int,
    ) -> None:
        self.published = 0
        #: Told when something could not be published; set by who wires.
        self.lost: Callable[[], None] = lambda: None
        self._redis = cast("Any", redis)
        self._processor = processor
        self._tick = tick_seconds
        self._max_bytes = max_bytes
        self._outgoing: dict[str, _Outgoing] = {}
        self._bytes = 0
        self._bell = Bell()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until there is room for more: the stream keeps what is not read yet."""
        await self._room.wait()

    def add(self, gateway: str, item: Item) -> None:
        """Deliver `item` with the next tick."""
        self._of(gateway).items.append(item)
        self._bytes += len(item.body) + len(item.slots) + _ITEM_BYTES
        if self._bytes >= self._max_bytes:
            self._room.clear()

    def active(self, one: Registration, order: int, *, fresh: bool) -> None:
        """Acknowledge a session with the next tick, after what was matched before it."""
        work = self._of(one.gateway)
        work.active.setdefault(order, []).append((one.slot, one.rev, fresh))
        work.trace = one.trace

    def _of(self, gateway: str) -> _Outgoing:
        self._bell.ring()
        return self._outgoing.setdefault(gateway, _Outgoing())

    async def run(self, stop: asyncio.Event) -> None:
        """Publish each tick until told to stop; then publish what is left."""
        next_at = 0.0
        with self._bell.also(stop):
            while not stop.is_set():
                await self._bell.wait()
                left = next_at - time.monotonic()
                if left > 0:
                    await pause(stop, left)
                next_at = time.monotonic() + self._tick
                await self._flush()

    async def _flush(self) -> None:
        outgoing, self._outgoing, self._bytes = self._outgoing, {}, 0
        self._bell.heard()
        self._room.set()
        if not outgoing:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for gateway, work in outgoing.items():
            channel = bus.gateway_channel(gateway)
            for message in self._messages(work):
                pipeline.publish(channel, message)
        try:
            await pipeline.execute()
            self.published += len(outgoing)
        except (*UNAVAILABLE, RedisError) as error:
            # what was in it is gone: gateways are told to take new snapshots as soon as Redis is back
            log.warning("publisher.lost", error=f"{type(error).__name__}: {error}", gateways=len(outgoing))
            self.lost()
            await asyncio.sleep(RETRY_SECONDS)

    def _messages(self, work: _Outgoing) -> Iterator[bytes]:
        # deliveries first: what was matched for an older viewport must not follow the newer one's `active`
        at = time.time_ns() // 1_000_000
        chunk: list[Item] = []
        size = 0
        for item in work.items:
            size += len(item.body) + len(item.slots) + _ITEM_BYTES
            if chunk and size > MESSAGE_BYTES:
                yield self._delivery(at, chunk)
                chunk, size = [], len(item.body) + len(item.slots) + _ITEM_BYTES
            chunk.append(item)
        if chunk:
            yield self._delivery(at, chunk)
        for order, sessions in work.active.items():
            yield bus.encode(Active(self._processor, order, sessions, work.trace))

    def _delivery(self, at: int, items: list[Item]) -> bytes:
        # each item has its own trace; the envelope that of the newest
        trace = next((item.trace for item in reversed(items) if item.trace.traceparent), _NO_TRACE)
        return bus.encode(Delivery(self._processor, at, items, trace))
