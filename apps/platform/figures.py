"""The newest figures of this process for whoever looks now, through Redis: the log has them each minute."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from apps.contracts import figures
from apps.contracts.figures import FIGURES_KEY, FIGURES_SECONDS, FIGURES_TTL_SECONDS, Sample, figures_key
from apps.platform.histogram import Spread
from apps.platform.log import Log
from apps.platform.pacing import pause
from apps.platform.redis import UNAVAILABLE, RedisError

if TYPE_CHECKING:
    from apps.platform.metrics import Metrics
    from apps.platform.redis import Redis
    from apps.platform.settings import ServiceSettings

log = Log("slipway.figures")


class Figures:
    """A service: one write each few seconds; while Redis is away they are simply not there."""

    name = "figures"

    def __init__(
        self,
        settings: ServiceSettings,
        redis: Redis,
        metrics: Metrics,
        *,
        period_seconds: float = FIGURES_SECONDS,
    ) -> None:
        self._service = settings.service
        self._instance = secrets.token_hex(4)
        self._redis = cast("Any", redis)
        self._metrics = metrics
        self._period = period_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop, then take the key away."""
        window = self._metrics.window()
        member = f"{self._service}:{self._instance}"
        while not stop.is_set():
            await pause(stop, self._period)
            await self._metrics.refresh()
            found: dict[str, float | figures.Spread] = {
                metric.name: _spread(value) if isinstance(value, Spread) else value
                for metric, value in window.sample().items()
            }
            try:
                await self._write(member, found, ended=stop.is_set())
            except (*UNAVAILABLE, RedisError) as error:
                log.debug("figures.not_written", error=f"{type(error).__name__}: {error}")

    async def _write(self, member: str, found: dict[str, float | figures.Spread], *, ended: bool) -> None:
        now = time.time_ns() // 1_000_000
        pipeline = self._redis.pipeline(transaction=False)
        if ended:
            pipeline.zrem(FIGURES_KEY, member)
            pipeline.delete(figures_key(member))
        else:
            sample = Sample(self._service, self._instance, now, found)
            pipeline.set(figures_key(member), figures.encode(sample), px=int(FIGURES_TTL_SECONDS * 1000))
            pipeline.zadd(FIGURES_KEY, {member: now})
            pipeline.zremrangebyscore(FIGURES_KEY, "-inf", now - int(FIGURES_TTL_SECONDS * 10_000))
            pipeline.pexpire(FIGURES_KEY, int(FIGURES_TTL_SECONDS * 10_000))
        await pipeline.execute()


async def newest(redis: Redis) -> list[Sample]:
    """Return the newest sample of every live process, by service; raises what Redis raises."""
    client = cast("Any", redis)
    members: list[bytes] = await client.zrange(FIGURES_KEY, 0, -1)
    if not members:
        return []
    found: list[bytes | None] = await client.mget([figures_key(member.decode()) for member in members])
    samples: list[Sample] = []
    for data in found:
        if data is None:
            continue  # it has not written for a while
        try:
            samples.append(figures.decode(data))
        except msgspec.MsgspecError:
            log.warning("figures.undecodable", bytes=len(data))
    return sorted(samples, key=lambda sample: (sample.service, sample.instance))


def _spread(value: Spread) -> figures.Spread:
    return figures.Spread(value.quantile(0.5), value.quantile(0.99), value.total)
