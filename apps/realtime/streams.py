"""The streams of users and channels as a gateway uses them: hold users, read on from an id, keep channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from apps.contracts import channels
from apps.contracts.channels import OWN, Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apps.platform.redis import Redis

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

#: A user is sent to this gateway so long after it said so, and it says so again after a third of that. One
#: that died costs a message to nobody until then.
HOLD_SECONDS: Final = 180.0
#: Messages read of one stream at once.
CHUNK: Final = 16

#: Where a stream is: the id after which it is whole, and its last.
Place = tuple[Position, Position]
Entry = tuple[bytes, list[bytes]]


class Streams:
    """Redis for `Messages`: each call is one round trip for many."""

    def __init__(self, redis: Redis, gateway: str) -> None:
        self._redis = cast("Any", redis)
        self._gateway = gateway
        self._hold: Any = self._redis.register_script(_HOLD)
        self._read: Any = self._redis.register_script(_READ)

    async def hold(self, here: Sequence[str], gone: Sequence[str]) -> list[Place]:
        """Say which users are here and which no more; returns where the streams of those here are."""
        pipeline = self._redis.pipeline(transaction=False)
        for user in here:
            keys = [channels.user_key(user, what) for what in ("inbox", "floor", "gateways")]
            arguments = [self._gateway, int(HOLD_SECONDS * 1000), channels.INBOX_SECONDS * 1000]
            await self._hold(keys=keys, args=arguments, client=pipeline)
        for user in gone:
            pipeline.zrem(channels.user_key(user, "gateways"), self._gateway)
        answers: list[Any] = await pipeline.execute()
        return [_place(floor, last) for floor, last in answers[: len(here)]]

    async def read(
        self, wanted: Sequence[tuple[str, str, Position | None]]
    ) -> list[tuple[Place, list[Entry]]]:
        """Read on: of each user, feed and id after which, where the feed is and what follows."""
        pipeline = self._redis.pipeline(transaction=False)
        for user, feed, after in wanted:
            own = feed == OWN
            stream = channels.user_key(user, "inbox") if own else channels.channel_key(feed, "history")
            floor = channels.user_key(user, "floor") if own else channels.channel_key(feed, "floor")
            since = "" if after is None else channels.show(after)
            kept = channels.INBOX_SECONDS if own else channels.CHANNEL_SECONDS
            await self._read(keys=[stream, floor], args=[since, CHUNK, kept * 1000], client=pipeline)
        answers: list[Any] = await pipeline.execute()
        return [(_place(floor, last), entries) for floor, last, entries in answers]

    async def keep(self, names: Iterable[str]) -> None:
        """Keep the streams of channels somebody listens to: a floor that expired would look like a loss."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            # in this order: a floor must not outlive what it says is there
            for what in ("floor", "history"):
                pipeline.pexpire(channels.channel_key(name, what), channels.CHANNEL_SECONDS * 1000)
        await pipeline.execute()


def _place(floor: bytes, last: bytes) -> Place:
    return channels.position(floor.decode()), channels.position(last.decode())
