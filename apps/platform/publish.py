"""Send a message to a user, or to everybody on a channel, from any service.

messages = Messages(redis)
await messages.to_user("ann", "notification", {"text": "Your export is ready"})
await messages.to_user("ann", "job.progress", {"done": 40}, conflate="job-7", sequence=40)
await messages.to_channel("public.news", "headline", {"text": "Runway 14 is open again"})
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from apps.contracts import channels
from apps.contracts.bus import gateway_channel
from apps.contracts.channels import Message
from apps.contracts.entities import Trace
from apps.platform import telemetry
from apps.platform.errors import InvalidError, TooLargeError

if TYPE_CHECKING:
    from apps.platform.redis import Redis

# Keys: stream, floor, latest, sent, and for a user gateways.
# Arguments: to, message, most entries, milliseconds they are kept, conflate, sequence,
# milliseconds an idempotency key is kept (0: none), Redis channel (a user's: the prefix of gateways').
# One script, so that ids, deliveries and what may be read again have one order.
_SEND: Final = """
local stream, floor, latest, sent, gateways = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local once = tonumber(ARGV[7]) > 0
if once then
  local before = redis.call('GET', sent)
  if before then return {before, 0, 'duplicate'} end
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[5] ~= '' then
  local sequence, id = string.match(redis.call('HGET', latest, ARGV[5]) or '', '^(%d+):(.*)$')
  if sequence and tonumber(ARGV[6]) > 0 and tonumber(ARGV[6]) <= tonumber(sequence) then
    return {id, 0, 'superseded'}
  end
  if id then redis.call('XDEL', stream, id) end
end
if redis.call('EXISTS', floor) == 0 then
  redis.call('SET', floor, string.format('%.0f-99999', now - 1))
end
local id = redis.call('XADD', stream, '*', 'm', ARGV[2], 'k', ARGV[5])
local over = redis.call('XLEN', stream) - tonumber(ARGV[3])
if over > 0 then
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', over)) do
    redis.call('SET', floor, entry[1])
    if entry[2][4] ~= '' then redis.call('HDEL', latest, entry[2][4]) end
  end
  redis.call('XTRIM', stream, 'MAXLEN', ARGV[3])
end
if ARGV[5] ~= '' then
  redis.call('HSET', latest, ARGV[5], ARGV[6] .. ':' .. id)
  redis.call('PEXPIRE', latest, ARGV[4])
end
redis.call('PEXPIRE', stream, ARGV[4])
redis.call('PEXPIRE', floor, ARGV[4])
if once then redis.call('SET', sent, id, 'PX', ARGV[7]) end
local posted = '\\148' .. cmsgpack.pack('message', ARGV[1], id) .. ARGV[2]
if not gateways then
  return {id, redis.call('PUBLISH', ARGV[8], posted), ''}
end
redis.call('ZREMRANGEBYSCORE', gateways, '-inf', now)
local heard = 0
for _, gateway in ipairs(redis.call('ZRANGE', gateways, 0, -1)) do
  heard = heard + redis.call('PUBLISH', ARGV[8] .. gateway, posted)
end
return {id, heard, ''}
"""


class Sent(msgspec.Struct, frozen=True):
    """What became of a message. `gateways` had it at once; who is away can read it on coming back."""

    id: str
    gateways: int
    #: Its idempotency key was used before: nothing was sent, the id is that of then.
    duplicate: bool = False
    #: A later sequence of the same conflation key was sent before: nothing was sent, the id is that one's.
    superseded: bool = False


class Messages:
    """The publish call; errors are `InvalidError`, `TooLargeError`, and what the Redis client raises."""

    def __init__(self, redis: Redis, *, history: int = channels.HISTORY_MESSAGES) -> None:
        self._send: Any = cast("Any", redis).register_script(_SEND)
        self._history = history

    async def to_user(
        self,
        user: str,
        name: str,
        data: Any,
        *,
        conflate: str = "",
        sequence: int = 0,
        idempotency_key: str = "",
    ) -> Sent:
        """Send to every session of a user, now or when they are back within the hour.

        Of messages with one `conflate` key only the newest is kept; with a `sequence` a late one is left out.
        """
        if not 1 <= len(user) <= channels.MAX_USER:
            raise InvalidError(f"a user's id has 1 to {channels.MAX_USER} characters", code="message.user")
        keys = [
            channels.user_key(user, what)
            for what in ("inbox", "floor", "latest", f"sent:{idempotency_key}", "gateways")
        ]
        message = encoded(name, data, conflate, sequence, idempotency_key)
        return await self._run(
            keys,
            user,
            message,
            conflate,
            sequence,
            gateway_channel(""),
            channels.INBOX_SECONDS,
            once=bool(idempotency_key),
        )

    async def to_channel(
        self,
        channel: str,
        name: str,
        data: Any,
        *,
        conflate: str = "",
        sequence: int = 0,
        idempotency_key: str = "",
    ) -> Sent:
        """Send to everybody who listens to a channel, now or when they are back within five minutes."""
        require_channel(channel)
        keys = [
            channels.channel_key(channel, what)
            for what in ("history", "floor", "latest", f"sent:{idempotency_key}")
        ]
        message = encoded(name, data, conflate, sequence, idempotency_key)
        return await self._run(
            keys,
            channel,
            message,
            conflate,
            sequence,
            channels.wire_channel(channel),
            channels.CHANNEL_SECONDS,
            once=bool(idempotency_key),
        )

    async def _run(
        self,
        keys: list[str],
        to: str,
        message: bytes,
        conflate: str,
        sequence: int,
        publish_on: str,
        kept_seconds: int,
        *,
        once: bool,
    ) -> Sent:
        known = channels.IDEMPOTENCY_SECONDS * 1000 if once else 0
        arguments = [
            to,
            message,
            self._history,
            kept_seconds * 1000,
            conflate,
            sequence,
            known,
            publish_on,
        ]
        found, heard, why = await self._send(keys=keys, args=arguments)
        return Sent(found.decode(), int(heard), why == b"duplicate", why == b"superseded")


def require_channel(channel: str) -> None:
    """Raise unless the name is a channel's."""
    if not channels.is_channel(channel):
        raise InvalidError(
            f"{channel!r} is no channel: public.TOPIC or group.GROUP.TOPIC, "
            "parts of letters, digits, _ and - joined by dots",
            code="channel.unknown",
        )


def encoded(name: str, data: Any, conflate: str, sequence: int, idempotency_key: str) -> bytes:
    """Check and encode a message under the trace of the running task."""
    if not channels.is_message_name(name):
        raise InvalidError(
            f"{name!r} is no name of a message: lower-case letters, digits, _ . and -, at most 64",
            code="message.name",
        )
    for what, key in (("conflate", conflate), ("idempotency", idempotency_key)):
        if key and not channels.is_key(key):
            raise InvalidError(
                f"{key!r} is no {what} key: letters, digits and ._:@/-, at most 128", code="message.key"
            )
    if not 0 <= sequence < 2**53 or (sequence and not conflate):
        raise InvalidError("a sequence goes with a conflate key and is at least 0", code="message.sequence")
    body = msgspec.json.encode(data)
    if len(body) > channels.MAX_MESSAGE_BYTES:
        raise TooLargeError(
            f"the data is {len(body)} bytes of JSON, a message has at most {channels.MAX_MESSAGE_BYTES}; "
            "send where to find it",
            code="message.too_large",
        )
    trace = telemetry.current() or telemetry.new()
    at = time.time_ns() // 1_000_000
    return channels.encode(Message(name, at, body, conflate, Trace(trace.traceparent, trace.correlation_id)))
