"""Who matches which shard: live processors come to the same fair shares, leases in Redis make them so."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from apps.contracts.bus import LEASES_CHANNEL, PROCESSORS_KEY, SHARDS, lease_key
from apps.platform.log import Log
from apps.platform.pacing import Bell
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.platform.redis import Redis

log = Log("slipway.leases")

#: Heartbeat and list of the live; scores are the server's time, so that clocks of processors need not agree.
_BEAT: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[3] == 'leave' then redis.call('ZREM', KEYS[1], ARGV[1])
else redis.call('ZADD', KEYS[1], now, ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

#: For each key `hold` takes or renews it, `drop` lets it go. Answers our order as text (Lua prints large
#: numbers with an exponent), '' for a free lease, '-' for one of somebody else.
_HOLD: Final = """
local t = redis.call('TIME')
local order = string.format('%.0f', t[1] * 1000000 + t[2])
local answer = {}
for i, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  local holder, held = '', ''
  if value then holder, held = string.match(value, '^(.*):(%d+)$') end
  local action = ARGV[i + 2]
  if action == 'hold' and not value then
    redis.call('SET', key, ARGV[1] .. ':' .. order, 'NX', 'PX', ARGV[2])
    answer[i] = order
  elseif holder == ARGV[1] and action == 'hold' then
    redis.call('PEXPIRE', key, ARGV[2])
    answer[i] = held
  elseif holder == ARGV[1] then
    redis.call('DEL', key)
    answer[i] = ''
  else answer[i] = value and '-' or '' end
end
return answer
"""


def fair_shares(processors: Iterable[str], shards: int = SHARDS) -> dict[str, set[int]]:
    """Divide the shards: rendezvous hashing with a bound, so that no share exceeds another by more than one.

    Every processor that sees the same names comes to the same result, whatever their order.
    """
    names = sorted(set(processors))
    shares: dict[str, set[int]] = {name: set() for name in names}
    if not names:
        return shares
    small, larger = divmod(shards, len(names))
    wishes = sorted((_weight(name, shard), name, shard) for name in names for shard in range(shards))
    placed: set[int] = set()
    for _, name, shard in wishes:
        full = len(shares[name]) >= small and (len(shares[name]) > small or larger == 0)
        if shard in placed or full:
            continue
        shares[name].add(shard)
        placed.add(shard)
        larger -= len(shares[name]) == small + 1
    return shares


def _weight(name: str, shard: int) -> int:
    digest = hashlib.blake2b(f"{shard}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Holder(Protocol):
    """What happens when leases come and go; the orders are those of the leases."""

    async def take(self, shards: dict[int, int]) -> None:
        """Begin to match these shards (shard → order)."""
        ...

    async def release(self, shards: set[int]) -> None:
        """Stop matching these shards."""
        ...


class Leases:
    """A service: beats, takes its fair share, lets go of the rest once somebody else has it."""

    name = "leases"

    def __init__(self, redis: Redis, holder: Holder, processor: str, lease_seconds: float) -> None:
        self.processor = processor
        self.held: dict[int, int] = {}
        self._redis = cast("Any", redis)
        self._holder = holder
        self._ttl_ms = math.ceil(lease_seconds * 1000)
        self._beat_seconds = lease_seconds / 3
        self._bell = Bell()
        #: Let go of, but matched on until somebody holds it or this moment: a gap is worse than an overlap.
        self._lingering: dict[int, float] = {}
        self._members: tuple[str, ...] = ()
        self._beat = redis.register_script(_BEAT)
        self._hold = redis.register_script(_HOLD)

    def prompt(self) -> None:
        """Look at the leases now: somebody came or went."""
        self._bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until told to stop, then let go of everything so that others take over at once."""
        try:
            with self._bell.also(stop):
                while not stop.is_set():
                    try:
                        await self.beat()
                    except (*UNAVAILABLE, RedisError) as error:
                        # keep matching: whoever takes our leases meanwhile has a higher order and is believed
                        log.warning("leases.beat_failed", error=f"{type(error).__name__}: {error}")
                    await self._bell.wait(self._beat_seconds)
                    self._bell.heard()
        finally:
            await self._leave()

    async def beat(self) -> None:
        """Say that we live, see who else does, and move towards the fair share."""
        answer = cast(
            "list[bytes]", await self._beat(keys=[PROCESSORS_KEY], args=[self.processor, self._ttl_ms, ""])
        )
        members = tuple(sorted(member.decode() for member in answer))
        share = fair_shares(members).get(self.processor, set())
        asked = sorted(share | set(self.held))
        orders = await self._ask(asked, share)
        await self._settle(share, orders)
        if members != self._members:
            log.info("leases.members", members=len(members), share=len(share), held=len(self.held))
            self._members = members
            await self._redis.publish(LEASES_CHANNEL, b"")

    async def _ask(self, shards: list[int], share: set[int]) -> dict[int, str]:
        if not shards:
            return {}
        actions = ["hold" if shard in share else "drop" for shard in shards]
        answer = cast(
            "list[bytes]",
            await self._hold(
                keys=[lease_key(shard) for shard in shards], args=[self.processor, self._ttl_ms, *actions]
            ),
        )
        return {shard: value.decode() for shard, value in zip(shards, answer, strict=True)}

    async def _settle(self, share: set[int], orders: dict[int, str]) -> None:
        mine = {
            shard: int(value) for shard, value in orders.items() if shard in share and value not in {"", "-"}
        }
        taken = {shard: order for shard, order in mine.items() if self.held.get(shard) != order}
        lost, freed = self._linger({shard: orders[shard] for shard in self.held if shard not in mine})
        for shard in (*mine, *lost):
            self._lingering.pop(shard, None)
        for shard in lost:
            del self.held[shard]
        self.held.update(taken)
        if lost:
            await self._holder.release(lost)
        if freed:
            await self._redis.publish(LEASES_CHANNEL, b"")
        if taken:
            await self._holder.take(taken)

    def _linger(self, others: dict[int, str]) -> tuple[set[int], bool]:
        """Decide which shards to stop matching, and whether one was let go of just now."""
        now = time.monotonic()
        lost: set[int] = set()
        freed = False
        for shard, value in others.items():
            if value == "-" or now >= self._lingering.get(shard, math.inf):
                lost.add(shard)
            elif shard not in self._lingering:
                self._lingering[shard] = now + 2 * self._beat_seconds
                freed = True
        return lost, freed

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._beat(keys=[PROCESSORS_KEY], args=[self.processor, self._ttl_ms, "leave"])
                await self._ask(sorted(self.held), set())
                await self._redis.publish(LEASES_CHANNEL, b"")
        except (*UNAVAILABLE, RedisError) as error:
            log.warning("leases.leave_failed", error=f"{type(error).__name__}: {error}")
