"""Gateway cost of one un-coalesced frame: a delivery to one client, flushed at a tick of 0 (median CPU).

Run: `python -m benchmarks.realtime.flushing [frames]`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from apps.contracts.bus import Active, Delivery, Item, pack_slots
from apps.contracts.protocol import Bounds
from apps.platform.auth import Identity
from apps.realtime.hub import Hub
from apps.realtime.session import Bounded, View

_ROUNDS = 10


async def measure(frames: int) -> float:
    """Return microseconds per frame; the socket takes every frame at once."""
    limits = Bounded(262_144, 5000, 16_384)
    hub = Hub("g", limits, tick_seconds=0.0, stall_seconds=30.0, max_detached=0, slot_rest_seconds=60.0)
    hub.load = lambda client: hub.show(client, [], truncated=False)
    client = hub.open("s", Identity("ann"))
    sent = asyncio.Event()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)

    def send(_frame: str) -> asyncio.Future[None]:
        sent.set()
        return done

    client.send = send
    client.session.look_at(View(Bounds(-180.0, -90.0, 180.0, 90.0)), 1)
    stop = asyncio.Event()
    running = asyncio.create_task(hub.run(stop))
    slots = pack_slots([client.session.slot])
    hub.active(Active("p", 1, [(client.session.slot, 1, True)]))
    await sent.wait()
    costs: list[float] = []
    version = 0
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(frames // _ROUNDS):
            version += 1
            sent.clear()
            hub.deliver(Delivery("p", 0, [Item("e", version, False, b'{"op":"upsert"}', slots)]))
            await sent.wait()
        costs.append((time.process_time() - begun) / (frames // _ROUNDS))
    stop.set()
    await running
    return statistics.median(costs) * 1e6


def main() -> None:
    """Print one line."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(f"{frames} frames, one at a time: {asyncio.run(measure(frames)):.1f} us each")


if __name__ == "__main__":
    main()
