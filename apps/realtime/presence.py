"""Who is on a channel, over all gateways: each says once a second what changed, and one that dies expires.

Kept per channel in Redis: members with the number of gateways that have them, gateways with their expiry, and
the users of each gateway. A change is published by the script that makes it: states have one order.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

from apps.contracts import protocol
from apps.contracts.channels import MAX_MEMBERS, PresenceChanged, channel_key, wire_channel
from apps.contracts.entities import Trace
from apps.platform.log import Log
from apps.platform.pacing import pause
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.platform.redis import Redis
    from apps.realtime.channels import Channels, Listener
    from apps.realtime.hub import Hub

log = Log("slipway.presence")

#: Users that one call of the script names; the rest follows in the next.
_USERS: Final = 500

# Keys: members, gateways, users of the gateway. Arguments: gateway, milliseconds it holds, Redis channel,
# channel, traceparent, correlation id, names at most, mode, how many joined, then joined and left.
# Modes: `all` names every user of the gateway, `some` what changed, `dead` lets go an expired gateway's.
_CHANGE: Final = """
local members, gateways, mine = KEYS[1], KEYS[2], KEYS[3]
local mode, most = ARGV[8], tonumber(ARGV[7])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local joined, left = {}, {}
local function leave(user)
  if redis.call('SREM', mine, user) == 1 and tonumber(redis.call('ZINCRBY', members, -1, user)) <= 0 then
    redis.call('ZREM', members, user)
    left[#left + 1] = user
  end
end
local until_ = redis.call('ZSCORE', gateways, ARGV[1])
if mode == 'dead' then
  if until_ and tonumber(until_) <= now then
    for _, user in ipairs(redis.call('SMEMBERS', mine)) do leave(user) end
    redis.call('ZREM', gateways, ARGV[1])
  end
else
  if mode == 'some' and not until_ then return {0} end
  redis.call('ZADD', gateways, now + ARGV[2], ARGV[1])
  for i = 10, 9 + ARGV[9] do
    if redis.call('SADD', mine, ARGV[i]) == 1 and redis.call('ZINCRBY', members, 1, ARGV[i]) == '1' then
      joined[#joined + 1] = ARGV[i]
    end
  end
  for i = 10 + ARGV[9], #ARGV do leave(ARGV[i]) end
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2] * 10) end
  if redis.call('SCARD', mine) == 0 then redis.call('ZREM', gateways, ARGV[1]) end
end
local count = redis.call('ZCARD', members)
local names = redis.call('ZRANGE', members, 0, most - 1)
if #joined + #left > 0 then
  local function some(list)
    local short = {}
    for i = 1, math.min(#list, most) do short[i] = list[i] end
    return short
  end
  redis.call('PUBLISH', ARGV[3], cmsgpack.pack({'presence', ARGV[4], count, names, some(joined),
    some(left), {traceparent = ARGV[5], correlation_id = ARGV[6]}, 1}))
end
return {1, count, names, redis.call('ZRANGEBYSCORE', gateways, '-inf', now)}
"""


class Presence:
    """A service: sockets join and leave by its calls, Redis follows each `seconds`."""

    name = "presence"

    def __init__(
        self, hub: Hub, redis: Redis, channels: Channels, *, seconds: float, ttl_seconds: float
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._change: Any = cast("Any", redis).register_script(_CHANGE)
        self._seconds = seconds
        self._ttl = ttl_seconds
        # bounded by the sockets here and their channels
        self._here: dict[str, dict[str, int]] = {}
        self._changed: dict[str, dict[str, None]] = {}
        self._fresh: dict[str, set[Listener]] = {}
        self._renew_at: dict[str, float] = {}
        self._traces: dict[str, Trace] = {}

    def join(self, listener: Listener, channel: str) -> None:
        """Have a socket's user be a member; it is shown who else is with the next round."""
        users = self._here.setdefault(channel, {})
        users[listener.user] = users.get(listener.user, 0) + 1
        self._fresh.setdefault(channel, set()).add(listener)
        self._note(listener, channel)

    def leave(self, listener: Listener, channel: str) -> None:
        """Have a socket's user be a member no more, unless another socket of theirs is."""
        users = self._here[channel]
        users[listener.user] -= 1
        if users[listener.user] == 0:
            del users[listener.user]
        self._fresh.get(channel, set()).discard(listener)
        self._note(listener, channel)

    def _note(self, listener: Listener, channel: str) -> None:
        session = listener.client.session
        self._changed.setdefault(channel, {})[listener.user] = None
        self._traces[channel] = Trace(session.traceparent, session.correlation_id)

    def changed(self, state: PresenceChanged) -> None:
        """Take what a gateway published, this one too."""
        if state.channel in self._here:
            self._fresh.pop(state.channel, None)
            self._show(state, self._channels.channels.get(state.channel, set()))

    def missed(self, among: Iterable[str] | None = None) -> None:
        """Show everybody again who is there: changes were published while nobody here heard them."""
        for channel in self._here if among is None else self._here.keys() & set(among):
            self._changed.setdefault(channel, {})
            self._fresh[channel] = set(self._channels.channels.get(channel, ()))

    def _show(self, state: PresenceChanged, listeners: set[Listener]) -> None:
        frame = protocol.encode(
            protocol.Presence(
                state.channel,
                state.count,
                sorted(state.members),
                sorted(state.joined),
                sorted(state.left),
                state.trace.traceparent,
                state.trace.correlation_id,
            )
        )
        for listener in listeners:
            feed = listener.feeds.get(state.channel)
            if feed is not None and feed.presence:
                listener.show(state.channel, frame)
                self._hub.touch(listener.client)

    # --- to Redis -------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Say each round what changed, until told to stop; then that everybody here is gone."""
        while not stop.is_set():
            await pause(stop, self._seconds)
            await self._round()

    async def _round(self) -> None:
        now = time.monotonic()
        for channel, at in self._renew_at.items():
            if at <= now:
                self._changed.setdefault(channel, {})
        try:
            for channel in list(self._changed):
                await self._tell(channel)
        except (*UNAVAILABLE, RedisError) as error:
            log.warning("presence.away", error=f"{type(error).__name__}: {error}")

    async def _tell(self, channel: str) -> None:
        changed = self._changed.pop(channel)
        try:
            await self._say(channel, list(changed))
        except BaseException:
            self._changed[channel] = {**changed, **self._changed.get(channel, {})}
            raise
        if self._here.get(channel):
            self._renew_at[channel] = time.monotonic() + self._ttl / 3
        elif channel not in self._changed:
            for kept in (self._here, self._renew_at, self._fresh, self._traces):
                kept.pop(channel, None)

    async def _say(self, channel: str, users: list[str]) -> None:
        answer = await self._calls(channel, users, "some") if channel in self._renew_at else None
        if answer is None:
            # Redis does not know this gateway there: it is new, Redis was emptied, or others took it for dead
            everybody = dict.fromkeys([*self._here.get(channel, {}), *users])
            answer = await self._calls(channel, list(everybody), "all")
        for dead in answer[3] if answer else ():
            log.warning("presence.dead", channel=channel, gateway=dead.decode())
            answer = await self._call(channel, dead.decode(), "dead", [])
        if answer:
            # who came and was not told by what was published; the others are, and in its order
            names = [name.decode() for name in answer[2]]
            state = PresenceChanged(channel, int(answer[1]), names, [], [], self._traces[channel])
            self._show(state, self._fresh.pop(channel, set()))

    async def _calls(self, channel: str, users: list[str], mode: str) -> Any:
        answer: Any = None
        # also without a change: it renews
        for start in range(0, max(len(users), 1), _USERS):
            answer = await self._call(channel, self._hub.gateway, mode, users[start : start + _USERS])
            if not answer[0]:
                return None
            mode = "some"
        return answer

    async def _call(self, channel: str, gateway: str, mode: str, users: list[str]) -> Any:
        here = self._here.get(channel, {})
        joined = [user for user in users if user in here]
        left = [user for user in users if user not in here]
        trace = self._traces.get(channel, Trace())
        keys = [channel_key(channel, what) for what in ("members", "gateways", f"at:{gateway}")]
        arguments = [
            gateway,
            int(self._ttl * 1000),
            wire_channel(channel),
            channel,
            trace.traceparent,
            trace.correlation_id,
            MAX_MEMBERS,
            mode,
            len(joined),
            *joined,
            *left,
        ]
        return await self._change(keys=keys, args=arguments)
