"""Messages in and out of Redis: which users this gateway holds, which channels it hears, what was missed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from apps.contracts import channels
from apps.contracts.channels import OWN, Posted, is_channel, may_listen
from apps.platform.log import Log
from apps.platform.pacing import Bell, pause
from apps.platform.redis import UNAVAILABLE, RedisError
from apps.platform.subscriber import SubscriberLostError
from apps.realtime.channels import Feed, Listener, item_of
from apps.realtime.streams import CHUNK, HOLD_SECONDS, Streams

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.contracts.protocol import Subscribe
    from apps.platform.redis import Redis
    from apps.platform.subscriber import Subscriber
    from apps.realtime.channels import Channels
    from apps.realtime.hub import Client, Hub
    from apps.realtime.presence import Presence
    from apps.realtime.streams import Entry, Place

log = Log("slipway.messages")

#: Users said to be here at once, and streams read at once: so long the loop is kept, so much is answered.
_USERS: Final = 100
_READS: Final = 64
#: Feeds of one socket that may answer with messages at once.
_FEEDS: Final = 8
_BEAT_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.2
_SUBSCRIBE_SECONDS: Final = 5.0


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
        self._subscriber = subscriber
        self._presence = presence
        self._tick = tick_seconds
        self._max_bytes = max_bytes
        self._streams = Streams(redis, hub.gateway)
        # each bounded by the number of sockets or of their channels; a dict keeps the order
        self._concerned: dict[str, None] = {}
        self._renew_at: dict[str, float] = {}
        self._unheard: set[str] = set()
        self._heard: set[str] = set()
        self._late: dict[Listener, None] = {}
        self._keep_at = 0.0
        self._bell = Bell()

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
        if listener.late:
            self._want(listener)  # what it left may be all that the others waited behind
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
        self._bell.ring()

    def _want(self, listener: Listener) -> None:
        self._late[listener] = None
        self._bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow each tick, until told to stop; what a gateway still holds then expires."""
        beat_at = 0.0
        with self._bell.also(stop):
            while not stop.is_set():
                await self._bell.wait(_BEAT_SECONDS)
                if self._tick:
                    await pause(stop, self._tick)
                if stop.is_set():
                    break
                self._bell.heard()
                now = time.monotonic()
                if now >= beat_at:
                    beat_at = now + _BEAT_SECONDS
                    self._beat(now)
                try:
                    await self._hear()
                    await self._keep(now)
                    await self._tell()
                    await self._catch_up()
                except (*UNAVAILABLE, RedisError) as error:
                    log.warning("messages.away", error=f"{type(error).__name__}: {error}")
                    self._bell.ring()
                    await asyncio.sleep(_RETRY_SECONDS)

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
        if self._presence is not None:
            self._presence.missed(names)

    async def _keep(self, now: float) -> None:
        if now >= self._keep_at and self._heard:
            await self._streams.keep(self._heard)
            self._keep_at = now + channels.CHANNEL_SECONDS / 5

    async def _tell(self) -> None:
        """Say which users are here or no more; the answer is where their streams are."""
        while self._concerned:
            users = list(self._concerned)[:_USERS]
            here = [user for user in users if user in self.channels.users]
            gone = [user for user in users if user not in self.channels.users]
            # taken off before: who comes or goes meanwhile lists the user again
            for user in users:
                del self._concerned[user]
            for user in gone:
                self._renew_at.pop(user, None)
            try:
                places = await self._streams.hold(here, gone)
            except BaseException:
                self._concerned.update(dict.fromkeys(users))
                raise
            renew_at = time.monotonic() + HOLD_SECONDS / 3
            for user, place in zip(here, places, strict=True):
                self._renew_at[user] = renew_at
                for listener in self.channels.users.get(user, ()):
                    feed = listener.feeds[OWN]
                    if feed.late and feed.at is None:
                        self._took(listener, feed, place, [])
                    elif feed.late:
                        self._want(listener)

    async def _catch_up(self) -> None:
        """Read late feeds of sockets for which nothing waits, some of each."""
        while self._late:
            reads: list[tuple[Listener, Feed]] = []
            while self._late and len(reads) < _READS:
                listener = next(iter(self._late))
                del self._late[listener]
                if not listener.waiting:
                    reads += [(listener, feed) for feed in self._readable(listener)]
            for _, feed in reads:
                feed.again = False
            if not reads:
                return
            for _, feed in reads:
                # what came until now is in the stream: only what comes from now on may be missing there
                feed.heard = (0, 0)
            try:
                answers = await self._streams.read([(one.user, feed.name, feed.at) for one, feed in reads])
            except BaseException:
                self._late.update(dict.fromkeys(listener for listener, _ in reads))
                raise
            for (listener, feed), (place, entries) in zip(reads, answers, strict=True):
                # left, or begun anew, while it was read
                if listener.feeds.get(feed.name) is feed and feed.late:
                    self._took(listener, feed, place, entries)

    def _readable(self, listener: Listener) -> list[Feed]:
        ready = [
            feed
            for feed in listener.late.values()
            if (feed.name in self._heard if feed.name != OWN else listener.user in self._renew_at)
        ]
        unplaced = [feed for feed in ready if feed.at is None]
        return unplaced + [feed for feed in ready if feed.at is not None][:_FEEDS]

    def _took(self, listener: Listener, feed: Feed, place: Place, entries: Sequence[Entry]) -> None:
        try:
            items = [
                item_of(feed.name, entry.decode(), channels.decode_message(fields[1]))
                for entry, fields in entries
            ]
        except msgspec.MsgspecError:
            # what nobody can read is nobody's loss to repeat: go on after it, and say so
            self.undecodable += 1
            log.exception("messages.undecodable", feed=feed.name)
            items, feed.at = [], (0, 0)
        listener.read(feed.name, *place, items, more=len(entries) == CHUNK)
        if listener.waiting:
            self._hub.touch(listener.client)
        elif listener.late:
            self._want(listener)


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[: channels.MAX_CHANNEL_NAME]) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
