"""Token buckets in Redis: one script call a request, shared by all processes, open when Redis is away."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from apps.platform.errors import RateLimitError
from apps.platform.log import Log
from apps.platform.redis import RedisError

if TYPE_CHECKING:
    from apps.platform.redis import Redis

log = Log("slipway.ratelimit")

#: A limiter that makes callers wait protects nobody: beyond this the request passes uncounted.
ANSWER_SECONDS: Final = 0.5
#: After a failure Redis is left alone this long.
_AWAY_SECONDS: Final = 2.0

# the server's clock, so that processes need not agree; the key goes when the bucket would be full again
_SCRIPT: Final = """
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 't', 'at')
local tokens = tonumber(state[1]) or burst
local last = tonumber(state[2]) or at
tokens = math.min(burst, tokens + math.max(0, at - last) * rate / 1000)
local allowed = 0
if tokens >= cost then
  tokens = tokens - cost
  allowed = 1
end
redis.call('HSET', KEYS[1], 't', tostring(tokens), 'at', at)
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return {allowed, math.floor(tokens), math.ceil(math.max(0, cost - tokens) / rate * 1000)}
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A named allowance: `burst` at once, refilled by `rate` a second."""

    name: str
    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What the bucket said, as the RateLimit headers tell it."""

    bucket: Bucket
    allowed: bool
    remaining: int
    retry_seconds: float

    def headers(self) -> dict[str, str]:
        """Limit, remaining and seconds until the bucket is full."""
        reset = math.ceil((self.bucket.burst - self.remaining) / self.bucket.rate)
        return {
            "ratelimit-limit": str(self.bucket.burst),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(reset),
        }


class RateLimiter:
    """Charges users' buckets."""

    def __init__(self, redis: Redis, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._script: Any = cast("Any", redis).register_script(_SCRIPT)
        self._away_until = 0.0

    async def charge(self, bucket: Bucket, user: str, cost: int = 1) -> Decision | None:
        """Take `cost` tokens or raise 429; None when Redis can't say (the request passes)."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._script(
                    keys=[f"rate:{bucket.name}:{user}"], args=[bucket.rate, bucket.burst, cost]
                )
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError
            if time.monotonic() >= self._away_until:
                log.warning("ratelimit.open", error=f"{type(error).__name__}: {error}", seconds=_AWAY_SECONDS)
            self._away_until = time.monotonic() + _AWAY_SECONDS
            return None
        allowed, remaining, retry_ms = (int(value) for value in answer)
        decision = Decision(bucket, bool(allowed), remaining, retry_ms / 1000)
        if not decision.allowed:
            seconds = max(1, math.ceil(decision.retry_seconds))
            raise RateLimitError(
                f"the allowance of {bucket.burst} {bucket.name}s, refilled by {bucket.rate:g} a second, "
                f"is used up; come back in {seconds} s",
                headers={**decision.headers(), "retry-after": str(seconds)},
            )
        return decision
