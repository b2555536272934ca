"""Wall clocks that jump by minutes: only what is about the wall clock notices.

Heartbeats, deadlines, leases, registrations and stalls are measured by the monotonic clock, a token's life by
the wall clock. The clocks of our three processes jump here; those of Redis and PostgreSQL do not.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.apps.realtime.load import under_load

if TYPE_CHECKING:
    from tests.apps.realtime.live import World
    from tests.apps.realtime.load import Load

JUMPY = Path(__file__).with_name("jumpy")


async def test_clocks_that_jump(world: World, tmp_path: Path):
    """Ten minutes forward, forty back, and right again, under load: nobody is lost but whose token is over."""
    clock = tmp_path / "clock"

    def jump(seconds: float) -> None:
        with clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    clock.write_bytes(struct.pack("d", 0.0))
    shim = {"pythonpath": str(JUMPY), "clock_file": str(clock)}
    api, gateway, processor = await asyncio.gather(
        world.start("api", console_enabled="false", **shim).ready(),
        world.gateway(ping_interval_seconds=0.5, viewport_ttl_seconds=6, **shim),
        world.processor(lease_seconds=2, **shim),
    )
    begun = time.monotonic()
    async with under_load(world, api, [gateway], "clock") as load:
        short = await world.connect(gateway)
        await short.identify(world.token(ttl=300))
        jump(600)
        assert json.loads((await short.closed())[1])["code"] == "token.expired"
        await _a_while(load, 2.5)
        late = await world.connect(gateway)
        await late.send(type="identify", token=world.token(ttl=300))
        assert json.loads((await late.closed())[1])["code"] == "token.expired"
        jump(-2400)
        await _a_while(load, 2.5)
        early = await world.connect(gateway)
        await early.send(type="identify", token=world.token())
        assert json.loads((await early.closed())[1])["code"] == "token.not_yet_valid"
        jump(0)
        await load.flowing(50)
        await load.settled()
        # nobody who followed was closed, and nothing had to be loaded again
        for one in load.followers:
            assert (one.closes, one.welcomes, one.kinds["snapshot"]) == ([], [False], 1), load.told()
            assert 5 <= one.kinds["ping"] <= 2 * (time.monotonic() - begun) + 2
    for process in (api, gateway, processor):
        assert process.process.poll() is None
        assert not [line for line in process.events() if line["level"] == "error"]
    assert not [line for line in processor.events() if line["event"] in {"intake.expired", "consumer.gap"}]


async def _a_while(load: Load, seconds: float) -> None:
    """Changes flow all the time: longer than leases, registrations and two heartbeats live unrenewed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await load.flowing(30, seconds=5)
