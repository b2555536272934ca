"""The gateway's side of the bus: registrations out, conflated per tick and renewed; deliveries in."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from apps.contracts import bus, filters
from apps.contracts.bus import Active, Registration, Removal, Viewports
from apps.contracts.channels import Posted
from apps.contracts.entities import Trace
from apps.contracts.filters import FILTERS_CHANNEL, FiltersChanged
from apps.platform.log import Log
from apps.platform.pacing import Bell, pause
from apps.platform.redis import UNAVAILABLE, RedisError
from apps.realtime.session import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apps.platform.redis import Redis
    from apps.realtime.hub import Client, Hub
    from apps.realtime.session import Session

log = Log("slipway.bus")

#: How often the gateway's own key is renewed, and how long it lives without: that of one which was merely
#: busy for a while must not look as if Redis had been emptied.
BEAT_SECONDS: Final = 1.0
_KEY_MILLISECONDS: Final = 120_000
_RETRY_SECONDS: Final = 0.2


class Bus:
    """A service: keeps every session registered with whoever holds its shard."""

    name = "bus"

    def __init__(
        self, hub: Hub, redis: Redis, *, tick_seconds: float, ttl_seconds: float, active_seconds: float
    ) -> None:
        self.undecodable = 0
        self.registered = 0
        self.published = 0
        #: A user's saved filters changed; set by who wires.
        self.filters_changed: Callable[[str], None] = lambda _user: None
        #: A message for a user, and Redis was found empty; set by who wires.
        self.posted: Callable[[Posted], None] = lambda _message: None
        self.emptied: Callable[[], None] = lambda: None
        self._hub = hub
        self._redis = cast("Any", redis)
        self._tick = tick_seconds
        self._ttl = ttl_seconds
        self._active = active_seconds
        self._rev = 0
        # newest registration (or removal) per session: bounded by the number of sessions
        self._outgoing: dict[str, tuple[int, Registration | Removal]] = {}
        self._renew_at: dict[str, float] = {}
        self._waiting_since: dict[str, float] = {}
        self._bell = Bell()
        self._channel = bus.gateway_channel(hub.gateway).encode()
        self._known_to_redis = False

    # --- out ------------------------------------------------------------------------------------------

    def next_rev(self) -> int:
        """Return the next registration's number."""
        self._rev += 1
        return self._rev

    def register(self, client: Client) -> None:
        """Publish the session's view with the next tick."""
        session = client.session
        view = session.view
        if view is None:
            return
        bounds = view.bounds
        self._put(
            session,
            Registration(
                session=session.id,
                slot=session.slot,
                rev=session.rev,
                gateway=self._hub.gateway,
                user=session.user,
                groups=session.groups,
                south=bounds.south,
                west=bounds.west,
                north=bounds.north,
                east=bounds.east,
                zoom=view.zoom,
                ttl_ms=int(self._ttl * 1000),
                kinds=view.kinds,
                filters=view.filters,
                trace=_trace_of(session),
                everything=session.everything,
            ),
        )
        now = time.monotonic()
        self._renew_at[session.id] = now + self._ttl / 3
        if session.phase is Phase.WAITING:
            self._waiting_since[session.id] = now

    def remove(self, session: Session) -> None:
        """Tell the processors that a session ended."""
        self._renew_at.pop(session.id, None)
        self._waiting_since.pop(session.id, None)
        if session.rev:
            self._put(session, Removal(session.id, session.rev, _trace_of(session)))

    def again(self, clients: Iterable[Client]) -> None:
        """Register sessions once more: what is known of them may be gone."""
        for client in clients:
            rev = self.next_rev()
            if client.session.phase is Phase.WAITING:
                client.session.changed_rev = rev
            client.session.registered(rev)
            self.register(client)

    def _put(self, session: Session, item: Registration | Removal) -> None:
        self._outgoing[session.id] = (bus.shard_of(session.user), item)
        self._bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish each tick and beat each second, until told to stop; then say what ended."""
        beat_at = 0.0
        with self._bell.also(stop):
            while not stop.is_set():
                await self._bell.wait(BEAT_SECONDS)
                if self._tick:
                    await pause(stop, self._tick)
                try:
                    if time.monotonic() >= beat_at:
                        beat_at = time.monotonic() + BEAT_SECONDS
                        await self._beat()
                    await self._publish()
                except (*UNAVAILABLE, RedisError) as error:
                    log.warning(
                        "bus.away", error=f"{type(error).__name__}: {error}", waiting=len(self._outgoing)
                    )
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _beat(self) -> None:
        now = time.monotonic()
        late = [session for session, since in self._waiting_since.items() if now - since >= self._active]
        for session in late:
            del self._waiting_since[session]
            client = self._hub.clients.get(session)
            if client is not None and client.session.give_up_waiting():
                log.warning("bus.no_processor", session=session, seconds=self._active)
                self._hub.load(client)
        renew = [session for session, at in self._renew_at.items() if at <= now]
        self.again([self._hub.clients[session] for session in renew if session in self._hub.clients])
        before = await self._redis.set(
            bus.gateway_key(self._hub.gateway), b"1", px=_KEY_MILLISECONDS, get=True
        )
        if before is None and self._known_to_redis:
            log.warning("bus.emptied", sessions=len(self._hub.clients))
            self.again(list(self._hub.clients.values()))
            self.emptied()
        self._known_to_redis = True

    async def _publish(self) -> None:
        self._bell.heard()
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, {}
        shards: dict[int, list[Registration | Removal]] = {}
        for shard, item in outgoing.values():
            shards.setdefault(shard, []).append(item)
        pipeline = self._redis.pipeline(transaction=False)
        for shard, items in shards.items():
            key = bus.viewports_key(shard)
            present = {item.session: bus.encode(item) for item in items if isinstance(item, Registration)}
            absent = [item.session for item in items if isinstance(item, Removal)]
            if present:
                pipeline.hset(key, mapping=present)
                # all gateways gone: so is the hash
                pipeline.pexpire(key, int(self._ttl * 2000))
            if absent:
                pipeline.hdel(key, *absent)
            # after the hash: who loads it and follows the channel misses nothing
            pipeline.publish(bus.viewports_channel(shard), bus.encode(Viewports(items, items[-1].trace)))
        try:
            await pipeline.execute()
        except BaseException:
            # newer ones that came meanwhile win
            self._outgoing = {**outgoing, **self._outgoing}
            self._bell.ring()
            raise
        self.registered += len(outgoing)
        self.published += len(shards)

    # --- in -------------------------------------------------------------------------------------------

    def message(self, channel: bytes, data: bytes) -> None:
        """Take what arrives on the subscriber's connection."""
        try:
            if channel == FILTERS_CHANNEL.encode():
                self._filters_changed(filters.decode_changed(data))
                return
            if channel != self._channel:
                return
            message = bus.decode_gateway(data)
            if isinstance(message, Active):
                self._hub.active(message)
                for slot, _, _ in message.sessions:
                    self._answered(slot)
            elif isinstance(message, Posted):
                self.posted(message)
            else:
                self._hub.deliver(message)
        except (msgspec.MsgspecError, ValueError):
            self.undecodable += 1
            log.exception("bus.undecodable", bytes=len(data))

    def _filters_changed(self, change: FiltersChanged) -> None:
        log.debug(
            "filters.changed",
            user=change.user,
            traceparent=change.trace.traceparent,
            correlation_id=change.trace.correlation_id,
        )
        self.filters_changed(change.user)

    def _answered(self, slot: int) -> None:
        client = self._hub.at(slot)
        if client is not None and client.session.phase is not Phase.WAITING:
            self._waiting_since.pop(client.session.id, None)

    def up(self, first: bool) -> None:
        """Start a new epoch after a reconnect: what was published meanwhile is gone."""
        if not first:
            concerned = self._hub.lost_deliveries()
            log.warning("bus.resync", sessions=len(concerned), epoch=self._hub.epoch)
            self.again(concerned)
            for user in list(self._hub.by_user):
                self.filters_changed(user)


def _trace_of(session: Session) -> Trace:
    return Trace(session.traceparent, session.correlation_id)
