"""Who listens to what, and what waits for each socket: the state of messages, without any I/O.

A socket follows feeds: its user's own and those of its channels. A feed is *live* while every message is
queued as it comes, and *late* while it is read from its stream in Redis: at the start, after a lost
subscriber, and when the socket is too slow. A late feed takes nothing that comes: its order is the stream's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apps.contracts import channels, protocol
from apps.contracts.protocol import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from apps.contracts.channels import Position, Posted
    from apps.realtime.hub import Client

#: Messages that wait for one socket; beyond this, or `max_bytes`, its feeds are late.
MAX_WAITING: Final = 128
#: One frame holds at most so many bytes of messages (and at least one).
FRAME_BYTES: Final = 131_072
#: What a waiting message costs beside its body.
_ITEM_BYTES: Final = 64


@dataclass(slots=True)
class MessageCounts:
    """What happened since the process started; every loss has a number."""

    #: Messages that came from Redis, each once however many listen.
    heard: int = 0
    #: Messages queued for sockets.
    queued: int = 0
    #: A newer one with the same key took the place of one that waited.
    conflated: int = 0
    #: A socket was too slow: the feed is read from its stream once the socket has caught up.
    deferred: int = 0
    #: A stream did not hold all a socket was to get: it was told `recovered: false`.
    lost: int = 0
    #: Messages read from streams.
    read: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A message as all its listeners get it, encoded once."""

    place: Position
    body: bytes
    conflate: str = ""


class Feed:
    """One stream as one socket follows it."""

    __slots__ = ("again", "asked", "at", "heard", "late", "name", "presence")

    def __init__(self, name: str, since: str | None, *, presence: bool = False) -> None:
        self.name = name
        #: The last message queued; None until it is known where the stream is.
        self.at: Position | None = channels.position(since) if since else None
        #: The newest that came while late.
        self.heard: Position = (0, 0)
        self.late = True
        #: It fell behind since the read that is under way began: that one may lack what was missed.
        self.again = False
        #: The client waits for `subscribed`.
        self.asked = since is not None
        self.presence = presence


class Listener:
    """One socket: its feeds and what waits for it, in order."""

    def __init__(self, client: Client, counts: MessageCounts, max_bytes: int) -> None:
        self.client = client
        self.user = client.session.user
        self.feeds: dict[str, Feed] = {}
        self.late: dict[str, Feed] = {}
        self.bytes = 0
        self.took_turn = False
        #: Called when nothing waits any more and feeds are late; set by who wires.
        self.drained: Callable[[Listener], None] = lambda _listener: None
        self._counts = counts
        self._max_bytes = max_bytes
        #: What is still to be sent, in order: messages by feed and key or place, `subscribed` by feed, ready
        #: frames (presence) by feed, of each the newest; bounded by MAX_WAITING and two times the number of
        #: feeds. A plain attribute: the hub looks at it for every frame.
        self.waiting: dict[tuple[str, object], Item | Subscription | str] = {}
        self._messages = 0

    def follow(self, feed: Feed) -> None:
        """Add a feed, or start it anew."""
        self.drop(feed.name)
        self.feeds[feed.name] = self.late[feed.name] = feed

    def drop(self, name: str) -> None:
        """Leave a feed with all that waits of it."""
        if self.feeds.pop(name, None) is None:
            return
        self.late.pop(name, None)
        for key in [key for key in self.waiting if key[0] == name]:
            self._forget(key)

    def fall_behind(self) -> None:
        """Read every feed from its stream: messages may have been missed."""
        for feed in self.feeds.values():
            feed.late = feed.again = True
            self.late[feed.name] = feed

    # --- in -------------------------------------------------------------------------------------------

    def offer(self, name: str, item: Item) -> bool:
        """Take a message as it comes; returns whether it was queued."""
        feed = self.feeds[name]
        if feed.late:
            feed.heard = max(feed.heard, item.place)
            return False
        if feed.at is not None and item.place <= feed.at:
            return False
        if self._messages >= MAX_WAITING or self.bytes + len(item.body) > self._max_bytes:
            self._counts.deferred += 1
            feed.late, feed.heard = True, item.place
            self.late[name] = feed
            return False
        self._queue(feed, item)
        return True

    def read(self, name: str, floor: Position, last: Position, items: Sequence[Item], *, more: bool) -> None:
        """Take what a stream holds after the feed's place; it is whole after `floor`, and ends at `last`."""
        feed = self.feeds[name]
        if feed.at is None:
            feed.at = last
        elif not floor <= feed.at <= last:
            self._counts.lost += 1
            feed.at, feed.asked = last, False
            self._say(Subscription(name, channels.show(last), recovered=False))
        else:
            for item in items:
                if item.place > feed.at:
                    self._counts.read += 1
                    self._queue(feed, item)
            if more:
                return
        if feed.again or feed.heard > feed.at:
            return  # it came while the stream was read: once more
        feed.late = False
        self.late.pop(name, None)
        if feed.asked:
            feed.asked = False
            self._say(Subscription(name, channels.show(feed.at), recovered=True))

    def show(self, name: str, frame: str) -> None:
        """Queue a frame about a feed in place of the last one that waits."""
        if self.waiting.pop((name, "frame"), None) is not None:
            self._counts.conflated += 1
        self.waiting[name, "frame"] = frame

    def _say(self, subscription: Subscription) -> None:
        key = (subscription.channel, "subscribed")
        self.waiting.pop(key, None)
        self.waiting[key] = subscription

    def _queue(self, feed: Feed, item: Item) -> None:
        # a tuple and a text are never equal: a key of a sender is none of ours
        key = (feed.name, ("key", item.conflate) if item.conflate else item.place)
        if key in self.waiting:
            self._counts.conflated += 1
            self._forget(key)
        self.waiting[key] = item
        self._messages += 1
        self.bytes += len(item.body) + _ITEM_BYTES
        feed.at = item.place
        self._counts.queued += 1

    def _forget(self, key: tuple[str, object]) -> None:
        gone = self.waiting.pop(key)
        if isinstance(gone, Item):
            self._messages -= 1
            self.bytes -= len(gone.body) + _ITEM_BYTES

    # --- out ------------------------------------------------------------------------------------------

    def take(self) -> str | None:
        """Return the next frame: as many as there are of one sort."""
        if not self.waiting:
            return None
        run = self._run()
        for key in run:
            self._forget(key)
        if self.late and not self.waiting:
            self.drained(self)
        first = next(iter(run.values()))
        if isinstance(first, str):
            return first
        if isinstance(first, Subscription):
            found = [one for one in run.values() if isinstance(one, Subscription)]
            session = self.client.session
            return protocol.encode(protocol.Subscribed(found, session.traceparent, session.correlation_id))
        return protocol.messages([one.body for one in run.values() if isinstance(one, Item)])

    def _run(self) -> dict[tuple[str, object], Item | Subscription | str]:
        run: dict[tuple[str, object], Item | Subscription | str] = {}
        size = 0
        for key, one in self.waiting.items():
            if run:
                first = next(iter(run.values()))
                if isinstance(first, str) or type(one) is not type(first):
                    break
            if isinstance(one, Item):
                size += len(one.body)
                if run and size > FRAME_BYTES:
                    break
            run[key] = one
        return run


class Channels:
    """All listeners of the process, by user and by channel."""

    def __init__(self) -> None:
        self.counts = MessageCounts()
        self.users: dict[str, set[Listener]] = {}
        self.channels: dict[str, set[Listener]] = {}

    def add(self, listener: Listener) -> None:
        """Take a new socket."""
        self.users.setdefault(listener.user, set()).add(listener)

    def remove(self, listener: Listener) -> None:
        """Forget a socket that ended."""
        _discard(self.users, listener.user, listener)
        for name in list(listener.feeds):
            self.leave(listener, name)

    def join(self, listener: Listener, feed: Feed) -> None:
        """Have a socket follow a channel."""
        listener.follow(feed)
        self.channels.setdefault(feed.name, set()).add(listener)

    def leave(self, listener: Listener, name: str) -> None:
        """Have a socket leave a channel."""
        listener.drop(name)
        _discard(self.channels, name, listener)

    def to_user(self, posted: Posted) -> list[Client]:
        """Queue a message for every socket of a user; returns whom to send to."""
        return self._post(channels.OWN, self.users.get(posted.to, ()), posted)

    def to_channel(self, posted: Posted) -> list[Client]:
        """Queue a message for every socket on a channel; returns whom to send to."""
        return self._post(posted.to, self.channels.get(posted.to, ()), posted)

    def _post(self, name: str, listeners: Iterable[Listener], posted: Posted) -> list[Client]:
        self.counts.heard += 1
        item = item_of(name, posted.id, posted.message)
        return [listener.client for listener in listeners if listener.offer(name, item)]


def item_of(name: str, message_id: str, message: channels.Message) -> Item:
    """Encode a message for a feed."""
    return Item(
        channels.position(message_id),
        protocol.message_item(name, message_id, message),
        message.conflate,
    )


def _discard(index: dict[str, set[Listener]], name: str, listener: Listener) -> None:
    members = index.get(name)
    if members is not None:
        members.discard(listener)
        if not members:
            del index[name]
