"""Viewports in: follows the channels of the held shards and loads their hashes, then says `active`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from apps.contracts import bus
from apps.contracts.bus import Registration
from apps.platform.log import Log
from apps.platform.pacing import pause
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apps.filter_processor.matcher import Matcher
    from apps.filter_processor.publisher import Publisher
    from apps.platform.redis import Redis
    from apps.platform.subscriber import Subscriber

log = Log("slipway.intake")

SWEEP_SECONDS: Final = 1.0


def now_ms() -> float:
    """Return the monotonic time the matcher is asked at."""
    return time.monotonic() * 1000.0


class Intake:
    """A service, and the holder of the leases' shards."""

    name = "intake"

    def __init__(self, redis: Redis, matcher: Matcher, publisher: Publisher) -> None:
        self.undecodable = 0
        self._redis = cast("Any", redis)
        self._matcher = matcher
        self._publisher = publisher
        self._orders: dict[int, int] = {}
        self._lock = asyncio.Lock()
        self._reload = asyncio.Event()
        #: Set by who wires.
        self.subscriber: Subscriber | None = None
        self.prompt: Callable[[], None] = lambda: None

    # --- leases ---------------------------------------------------------------------------------------------

    async def take(self, shards: dict[int, int]) -> None:
        """Subscribe first, load then: a registration between the two comes by the channel."""
        async with self._lock:
            self._orders.update(shards)
            try:
                await self._load(shards)
            except (*UNAVAILABLE, RedisError) as error:
                log.warning("intake.load_failed", error=f"{type(error).__name__}: {error}")
                self._reload.set()

    async def release(self, shards: set[int]) -> None:
        """Forget these shards."""
        async with self._lock:
            for shard in shards:
                self._orders.pop(shard, None)
                self._matcher.drop_shard(shard)
            if self.subscriber is not None:
                self.subscriber.unsubscribe(*(bus.viewports_channel(shard) for shard in shards))

    def restate(self) -> None:
        """Changes were missed: every gateway takes new snapshots."""
        self._orders = {shard: order + 1 for shard, order in self._orders.items()}
        self._acknowledge(self._orders)

    def _acknowledge(self, shards: Iterable[int]) -> None:
        for shard in shards:
            order = self._orders[shard]
            for one in self._matcher.of_shard(shard):
                self._publisher.active(one, order, fresh=False)

    async def _load(self, shards: Iterable[int]) -> None:
        held = list(shards)
        if self.subscriber is not None:
            await self.subscriber.subscribe(*(bus.viewports_channel(shard) for shard in held))
        pipeline = self._redis.pipeline(transaction=False)
        for shard in held:
            pipeline.hgetall(bus.viewports_key(shard))
        answers = cast("list[dict[bytes, bytes]]", await pipeline.execute())
        for shard, fields in zip(held, answers, strict=True):
            for session, data in fields.items():
                self._put_encoded(shard, session, data)
        self._acknowledge(held)
        log.info("intake.loaded", shards=len(held), sessions=len(self._matcher.viewers))

    def _put_encoded(self, shard: int, session: bytes, data: bytes) -> None:
        try:
            registration = bus.decode_registration(data)
        except msgspec.MsgspecError:
            self.undecodable += 1
            log.exception("intake.undecodable", shard=shard, session=session.decode(errors="replace"))
            return
        self._matcher.put(registration, now_ms())

    # --- messages -------------------------------------------------------------------------------------------

    def up(self, first: bool) -> None:
        """Load everything again after a reconnect: registrations may have been missed."""
        if not first:
            self._reload.set()

    def message(self, channel: bytes, data: bytes) -> None:
        """Take a message of a shard's channel, or a prompt to look at the leases."""
        if channel == bus.LEASES_CHANNEL.encode():
            self.prompt()
            return
        try:
            viewports = bus.decode_viewports(data)
        except msgspec.MsgspecError:
            self.undecodable += 1
            log.exception("intake.undecodable", bytes=len(data))
            return
        now = now_ms()
        for item in viewports.items:
            if not isinstance(item, Registration):
                self._matcher.drop(item.session, item.rev)
                continue
            order = self._orders.get(bus.shard_of(item.user))
            if order is not None:
                fresh = self._matcher.put(item, now)
                self._publisher.active(item, order, fresh=fresh)

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep expired registrations, and load all again when something was missed."""
        while not stop.is_set():
            await pause(stop, SWEEP_SECONDS)
            try:
                if self._reload.is_set():
                    await self._load_again()
                await self._sweep()
            except (*UNAVAILABLE, RedisError) as error:
                log.warning("intake.failed", error=f"{type(error).__name__}: {error}")

    async def _load_again(self) -> None:
        async with self._lock:
            self._reload.clear()
            self._orders = {shard: order + 1 for shard, order in self._orders.items()}
            try:
                await self._load(self._orders)
            except BaseException:
                self._reload.set()
                raise

    async def _sweep(self) -> None:
        late = self._matcher.expire(now_ms())
        if not late:
            return
        log.info("intake.expired", sessions=len(late))
        pipeline = self._redis.pipeline(transaction=False)
        for one in late:
            pipeline.hdel(bus.viewports_key(bus.shard_of(one.user)), one.session)
        await pipeline.execute()
