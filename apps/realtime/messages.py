"""Messages in and out of Redis: which users this gateway holds, which channels it hears, what was missed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from apps.contracts import channels
from apps.contracts.channels import OWN, Posted, is_channel, may_listen
from apps.platform.log import Log
from apps.platform.redis import UNAVAILABLE, RedisError
from apps.platform.subscriber import SubscriberLostError
from apps.realtime.channels import Feed, Listener, MessageCounts, item_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.contracts.protocol import Subscribe
    from apps.platform.redis import Redis
    from apps.platform.subscriber import Subscriber
    from apps.realtime.channels import Channels
    from apps.realtime.hub import Client, Hub
    from apps.realtime.presence import Presence

log = Log("slipway.messages")

#: A user is sent to this gateway so long after it said so, and it says so again after a third of that. One
#: that died costs a message to nobody until then.
HOLD_SECONDS: Final = 180.0
#: Users said to be here at once, and streams read at once: what one answer may hold is bounded.
_USERS: Final = 500
_READS: Final = 64
#: Messages read of one stream at once, and streams of one socket that may answer with some.
_CHUNK: Final = 16
_STREAMS: Final = 8
_BEAT_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.2
_SUBSCRIBE_SECONDS: Final = 5.0

# Keys: stream, floor. Arguments: since or '', how many, milliseconds. Where a stream has no floor, begin one.
_POSITION: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], string.format('%.0f-99999', now - 1))
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local floor = redis.call('GET', KEYS[2])
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local last = newest[1] and newest[1][1] or floor
"""
_READ: Final = (
    _POSITION
    + """
if ARGV[1] == '' then return {floor, last, {}} end
return {floor, last, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])}
"""
)
# Keys: stream, floor, gateways. Arguments: gateway, milliseconds it holds the user, those of the stream.
_HOLD: Final = (
    _POSITION
    + """
redis.call('ZADD', KEYS[3], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return {floor, last}
"""
)


class Messages:
    """A service: sockets come and go by its calls, Redis follows each tick."""

    name = "messages"

    def __init__(
        self,
        hub: Hub,
        redis: Redis,
        subscriber: Subscriber,
        known: Channels,
        presence: Presence | None,
        *,
        tick_seconds: float,
        max_bytes: int,
    ) -> None:
        self.channels = known
        self.undecodable = 0
        self._hub = hub
        self._redis = cast("Any", redis)
        self._subscriber = subscriber
        self._presence = presence
        self._tick = tick_seconds
        self._max_bytes = max_bytes
        self._hold: Any = self._redis.register_script(_HOLD)
        self._read: Any = self._redis.register_script(_READ)
        # each bounded by the number of sockets or of their channels; a dict keeps the order
        self._concerned: dict[str, None] = {}
        self._renew_at: dict[str, float] = {}
        self._unheard: set[str] = set()
        self._heard: set[str] = set()
        self._late: dict[Listener, None] = {}
        self._wake = asyncio.Event()

    @property
    def counts(self) -> MessageCounts:
        """What happened to messages since the process started."""
        return self.channels.counts

    # --- sockets --------------------------------------------------------------------------------------

    def open(self, client: Client, inbox: str | None) -> Listener:
        """Begin to send a socket what is for its user: from now on, or from the id it names."""
        listener = Listener(client, self.channels.counts, self._max_bytes)
        listener.drained = self._want
        client.mail = listener
        listener.follow(Feed(OWN, inbox))
        self.channels.add(listener)
        self._concern(listener.user)
        return listener

    def close(self, listener: Listener) -> None:
        """Forget a socket."""
        self._absent(listener, listener.feeds)
        self.channels.remove(listener)
        self._late.pop(listener, None)
        if listener.client.mail is listener:
            listener.client.mail = None
        if listener.user not in self.channels.users:
            self._concern(listener.user)

    def subscribe(self, listener: Listener, frame: Subscribe) -> list[tuple[str, str, str]]:
        """Have a socket listen; returns code, message and hint of what it may not."""
        session = listener.client.session
        wanted = list(dict.fromkeys(frame.channels))
        unknown = [name for name in wanted if not is_channel(name)]
        forbidden = [
            name
            for name in wanted
            if name not in unknown and not may_listen(name, session.groups, everything=session.everything)
        ]
        allowed = [name for name in wanted if name not in unknown and name not in forbidden]
        fresh = [name for name in allowed if name not in listener.feeds]
        room = channels.MAX_CHANNELS + 1 - len(listener.feeds)  # its own beside them
        accepted = [name for name in allowed if name not in fresh[room:]]
        presence = self._presence if frame.presence else None
        for name in accepted:
            self._absent(listener, [name])
            if presence is not None:
                presence.join(listener, name)
            self.channels.join(listener, Feed(name, frame.since.get(name, ""), presence=presence is not None))
            if name not in self._heard:
                self._unheard.add(name)
        self._want(listener)
        problems: list[tuple[str, str, str]] = []
        if frame.presence and presence is None:
            problems.append(("presence.disabled", "this gateway shows no members", "you are subscribed"))
        if unknown:
            hint = "public.TOPIC or group.GROUP.TOPIC; your own messages come without asking"
            problems.append(("channel.unknown", f"no channel is called {_some(unknown)}", hint))
        if forbidden:
            hint = "ask for a token with the group"
            problems.append(
                ("channel.forbidden", f"you are no member of the group of {_some(forbidden)}", hint)
            )
        if fresh[room:]:
            words = f"a connection has at most {channels.MAX_CHANNELS} channels; not {_some(fresh[room:])}"
            problems.append(("channel.limit", words, "unsubscribe from others first"))
        return problems

    def unsubscribe(self, listener: Listener, names: Iterable[str]) -> list[str]:
        """Have a socket leave channels; returns those that it was on."""
        gone = [name for name in dict.fromkeys(names) if name != OWN and name in listener.feeds]
        self._absent(listener, gone)
        for name in gone:
            self.channels.leave(listener, name)
        return gone

    def _absent(self, listener: Listener, names: Iterable[str]) -> None:
        for name in names:
            feed = listener.feeds.get(name)
            if self._presence is not None and feed is not None and feed.presence:
                self._presence.leave(listener, name)

    # --- from Redis -----------------------------------------------------------------------------------

    def posted(self, message: Posted) -> None:
        """Take a message for a user."""
        for client in self.channels.to_user(message):
            self._hub.touch(client)

    def broadcast(self, data: bytes) -> None:
        """Take what came on a channel."""
        try:
            message = channels.decode_wire(data)
            if isinstance(message, Posted):
                for client in self.channels.to_channel(message):
                    self._hub.touch(client)
            elif self._presence is not None:
                self._presence.changed(message)
        except (msgspec.MsgspecError, ValueError):
            self.undecodable += 1
            log.exception("messages.undecodable", bytes=len(data))

    def up(self, first: bool) -> None:
        """After a lost subscriber every feed is read on from where it was."""
        if first:
            return
        if self._presence is not None:
            self._presence.missed()
        for listeners in self.channels.users.values():
            for listener in listeners:
                listener.fall_behind()
                self._want(listener)

    def emptied(self) -> None:
        """Redis forgot who is here: say it again, and have each feed find out what is lost."""
        for user in self.channels.users:
            self._concern(user)
        self.up(first=False)

    # --- to Redis -------------------------------------------------------------------------------------

    def _concern(self, user: str) -> None:
        self._concerned[user] = None
        self._wake.set()

    def _want(self, listener: Listener) -> None:
        self._late[listener] = None
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow each tick, until told to stop; what a gateway still holds then expires."""
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        beat_at = 0.0
        while not stop.is_set():
            waking = asyncio.ensure_future(self._wake.wait())
            await asyncio.wait((waking,), timeout=_BEAT_SECONDS)
            waking.cancel()
            if stop.is_set():
                break
            if self._tick:
                await asyncio.sleep(self._tick)
            self._wake.clear()
            now = time.monotonic()
            if now >= beat_at:
                beat_at = now + _BEAT_SECONDS
                self._beat(now)
            try:
                await self._hear()
                await self._tell()
                await self._catch_up()
            except (*UNAVAILABLE, RedisError) as error:
                log.warning("messages.away", error=f"{type(error).__name__}: {error}")
                self._wake.set()
                await asyncio.sleep(_RETRY_SECONDS)
        stopping.cancel()

    def _beat(self, now: float) -> None:
        for user in [user for user, at in self._renew_at.items() if at <= now]:
            self._concern(user)
        self._unheard.intersection_update(self.channels.channels)
        idle = [name for name in self._heard if name not in self.channels.channels]
        if idle:
            self._heard.difference_update(idle)
            self._subscriber.unsubscribe(*(channels.wire_channel(name) for name in idle))

    async def _hear(self) -> None:
        """Subscribe to channels that somebody listens to now, before their streams are read."""
        names = [name for name in self._unheard if name in self.channels.channels]
        if not names or not self._subscriber.up.is_set():
            return
        try:
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await self._subscriber.subscribe(*(channels.wire_channel(name) for name in names))
        except (SubscriberLostError, TimeoutError):
            return  # the next beat tries again
        self._unheard.difference_update(names)
        for name in names:
            self._heard.add(name)
            for listener in self.channels.channels.get(name, ()):
                self._want(listener)

    async def _tell(self) -> None:
        """Say which users are here or no more; the answer is where their streams are."""
        while self._concerned:
            users = list(self._concerned)[:_USERS]
            pipeline = self._redis.pipeline(transaction=False)
            here = [user for user in users if user in self.channels.users]
            for user in here:
                keys = [channels.user_key(user, what) for what in ("inbox", "floor", "gateways")]
                arguments = [
                    self._hub.gateway,
                    int(HOLD_SECONDS * 1000),
                    channels.HISTORY_SECONDS * 1000,
                ]
                await self._hold(keys=keys, args=arguments, client=pipeline)
            for user in users:
                if user not in self.channels.users:
                    pipeline.zrem(channels.user_key(user, "gateways"), self._hub.gateway)
                    self._renew_at.pop(user, None)
            # taken off before: who comes or goes meanwhile lists the user again
            for user in users:
                del self._concerned[user]
            try:
                answers = await pipeline.execute()
            except BaseException:
                self._concerned.update(dict.fromkeys(users))
                raise
            now = time.monotonic()
            for user, (floor, last) in zip(here, answers, strict=False):
                self._renew_at[user] = now + HOLD_SECONDS / 3
                for listener in self.channels.users.get(user, ()):
                    self._held(listener, floor, last)

    def _held(self, listener: Listener, floor: bytes, last: bytes) -> None:
        feed = listener.feeds[OWN]
        if not feed.late:
            return
        if feed.at is None:
            self._took(listener, feed, floor, last, [])
        else:
            self._want(listener)

    async def _catch_up(self) -> None:
        """Read late feeds of sockets for which nothing waits, some of each."""
        while self._late:
            reads: list[tuple[Listener, Feed]] = []
            while self._late and len(reads) < _READS:
                listener = next(iter(self._late))
                del self._late[listener]
                if not listener.waits:
                    reads += [(listener, feed) for feed in self._readable(listener)]
            if not reads:
                return
            pipeline = self._redis.pipeline(transaction=False)
            for listener, feed in reads:
                key = self._stream(listener, feed)
                since = "" if feed.at is None else channels.show(feed.at)
                arguments = [since, _CHUNK, channels.HISTORY_SECONDS * 1000]
                await self._read(keys=key, args=arguments, client=pipeline)
            try:
                answers = await pipeline.execute()
            except BaseException:
                self._late.update(dict.fromkeys(listener for listener, _ in reads))
                raise
            for (listener, feed), (floor, last, entries) in zip(reads, answers, strict=True):
                # left, or begun anew, while it was read
                if listener.feeds.get(feed.name) is feed and feed.late:
                    self._took(listener, feed, floor, last, entries)

    def _readable(self, listener: Listener) -> list[Feed]:
        ready = [
            feed
            for feed in listener.late.values()
            if (feed.name in self._heard if feed.name != OWN else listener.user in self._renew_at)
        ]
        unplaced = [feed for feed in ready if feed.at is None]
        return unplaced + [feed for feed in ready if feed.at is not None][:_STREAMS]

    @staticmethod
    def _stream(listener: Listener, feed: Feed) -> list[str]:
        if feed.name == OWN:
            return [channels.user_key(listener.user, what) for what in ("inbox", "floor")]
        return [channels.channel_key(feed.name, what) for what in ("history", "floor")]

    def _took(
        self,
        listener: Listener,
        feed: Feed,
        floor: bytes,
        last: bytes,
        entries: list[tuple[bytes, list[bytes]]],
    ) -> None:
        try:
            items = [
                item_of(feed.name, place.decode(), channels.decode_message(fields[1]))
                for place, fields in entries
            ]
        except msgspec.MsgspecError:
            # what nobody can read is nobody's loss to repeat: go on after it, and say so
            self.undecodable += 1
            log.exception("messages.undecodable", feed=feed.name)
            items, feed.at = [], (0, 0)
        floor_at, last_at = channels.position(floor.decode()), channels.position(last.decode())
        listener.read(feed.name, floor_at, last_at, items, more=len(entries) == _CHUNK)
        if listener.waits:
            self._hub.touch(listener.client)
        elif listener.late:
            self._want(listener)


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[: channels.MAX_CHANNEL_NAME]) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
