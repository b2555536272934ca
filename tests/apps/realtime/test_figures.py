"""The figures of real processes under a little load: what is measured is there, plausible, and live."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import redis.asyncio

from apps.contracts import metrics
from apps.contracts.figures import Spread
from apps.platform.figures import newest

if TYPE_CHECKING:
    from apps.contracts.figures import Sample
    from lab.servers import RedisServer
    from tests.apps.realtime.live import World

ALPS = (5.0, 45.0, 11.0, 48.0)


async def test_figures_of_a_gateway_and_a_processor(world: World, valkey: RedisServer) -> None:
    """Changes to three clients show in both: latencies of one clock, fan-out 3, and everything in the catalogue."""
    gateway, _ = await world.pair()
    clients = [await world.client(gateway, f"u{number}") for number in range(3)]
    for client in clients:
        await client.look_at(*ALPS)
    found: dict[str, dict[str, float | Spread]] = {}
    connection = redis.asyncio.Redis.from_url(valkey.admin_url())
    version, end = 0, time.monotonic() + 30
    names = {
        "realtime": {metric.name for metric in (*metrics.GATEWAY, *metrics.PROCESS)},
        "filter_processor": {metric.name for metric in (*metrics.PROCESSOR, *metrics.PROCESS)},
    }
    try:
        while any(found.get(service, {}).keys() != known for service, known in names.items()):
            assert time.monotonic() < end, {
                name: known - found.get(name, {}).keys() for name, known in names.items()
            }
            version += 1
            world.write("a", 46.0 + version / 10_000, 8.0)
            await asyncio.sleep(0.05)
            sample: Sample
            for sample in await newest(connection):
                found.setdefault(sample.service, {}).update(sample.figures)
    finally:
        await connection.aclose()
    seen, made = found["realtime"], found["filter_processor"]
    for name in (metrics.DELIVERY.name, metrics.BUS_LAG.name, metrics.LOOP_LAG.name):
        spread = seen[name]
        assert isinstance(spread, Spread)
        assert spread.count > 0
        assert 0 <= spread.p50 <= spread.p99 < 20_000
    assert seen[metrics.CONNECTIONS.name] == 3
    assert seen[metrics.FAN_OUT.name] == 3
    assert 0 < float(str(seen[metrics.FRAMES_PER_MESSAGE.name])) <= 2
    assert made[metrics.AFFECTED.name] == 3
    assert made[metrics.VIEWPORTS.name] == 3
    assert made[metrics.ENTITIES.name] == 1
    assert float(str(made[metrics.REDIS_OPERATIONS.name])) > 0
