"""What a change costs in the filter processor by viewports, and the whole path beside the old design.

Run: `python -m benchmarks.realtime.matching [--quick] [--rounds N]`. All figures are CPU of this process and
for the whole path of the Valkey beside it (no TLS, which is kind to the old design). The whole path is what
runs in production: 500 changes/s on the stream, the consumer, the engine, a publish per gateway and tick.
The old design is GEORADIUS, a GET per candidate and a PUBLISH per user, in Bun (from npm).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis.asyncio as aioredis
from msgspec import structs

from apps.contracts.bus import Registration
from apps.contracts.entities import EntityChanged
from apps.filter_processor.consumer import Consumer
from apps.filter_processor.engine import Engine
from apps.filter_processor.matcher import Matcher
from apps.filter_processor.publisher import Publisher
from benchmarks.realtime import matching_old
from benchmarks.realtime.build import CACHE, MissingError
from benchmarks.realtime.machine import cpu_seconds
from lab.servers import binaries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

#: Changes per second: the peak that is asked for, and with a backlog, as the old design always has here.
_RATES: Final = (500, 5000)
_TICK: Final = 0.05
_AT_ONCE: Final = 50
_NEVER: Final = 10**9


class Scene:
    """Viewports of 1 to 20 km around 20 cities, and entities there."""

    def __init__(self, count: int) -> None:
        pick = random.Random(7)
        cities = [(pick.uniform(25, 50), pick.uniform(-120, -70)) for _ in range(20)]
        self.boxes: list[tuple[float, float, float, float]] = []
        for number in range(count):
            lat, lon = cities[number % 20]
            lat, lon, half = lat + pick.gauss(0, 0.12), lon + pick.gauss(0, 0.15), 0.005 * 18 ** pick.random()
            self.boxes.append((lat - half, lon - 1.6 * half, lat + half, lon + 1.6 * half))
        self.points = [
            (lat + pick.gauss(0, 0.12), lon + pick.gauss(0, 0.15)) for lat, lon in cities for _ in range(50)
        ]

    def matcher(self, *, grid: bool) -> Matcher:
        """One that holds all viewports, of four gateways."""
        matcher = Matcher(grid_rows=0 if grid else _NEVER)
        for number, (south, west, north, east) in enumerate(self.boxes):
            matcher.put(
                Registration(
                    session=f"s{number}",
                    slot=number,
                    rev=number + 1,
                    gateway=f"g{number % 4}",
                    user=f"u{number}",
                    groups=(),
                    zoom=12.0,
                    ttl_ms=_NEVER,
                    south=south,
                    west=west,
                    north=north,
                    east=east,
                ),
                0.0,
            )
        return matcher

    def moves(self) -> list[tuple[EntityChanged, EntityChanged]]:
        """Each entity before and after a step of 200 metres."""
        states = [EntityChanged(f"e{n}", 1, "aircraft", *point, 0) for n, point in enumerate(self.points)]
        return [(one, structs.replace(one, version=2, lat=one.lat + 0.002)) for one in states]


def each(work: Callable[[Any], object], things: Sequence[Any]) -> float:
    """Microseconds of CPU per call: the median of slices, so that a neighbour's burst does not count."""
    found: list[float] = []
    for start in range(0, len(things), _AT_ONCE):
        part = things[start : start + _AT_ONCE]
        begun = time.process_time_ns()
        for thing in part:
            work(thing)
        found.append((time.process_time_ns() - begun) / len(part) / 1000)
    return statistics.median(found)


def index(count: int) -> str:
    """A line of the first table."""
    scene = Scene(count)
    moves = scene.moves()
    cells: list[str] = []
    matched = 0
    for grid in (False, True):
        tracemalloc.start()
        matcher = scene.matcher(grid=grid)
        memory = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        matched = sum(len(hit.shown) // 4 for _, after in moves for hit in matcher.match(None, after, 1.0))
        match = each(lambda pair, it=matcher: it.match(*pair, 1.0), moves)
        some = [viewer.registration for viewer in list(matcher.viewers.values())[: len(moves)]]
        moved = [structs.replace(one, rev=_NEVER, south=one.south - 0.002) for one in some]
        move = each(lambda one, it=matcher: it.put(one, 1.0), moved)
        cells += [f"{match:9.1f}", f"{move:9.1f}", f"{memory / 1000:8.2f}"]
    return f"{count:9,} {matched / len(moves):8.1f} " + " ".join(cells)


# --- the whole path -----------------------------------------------------------------------------------------


@contextmanager
def valkey(folder: Path) -> Iterator[tuple[int, int]]:
    """A plain server: its port and process id."""
    program = binaries.choose(binaries.valkey_programs(), "Valkey", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [
        str(program.path),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


class _Nothing:
    """No entity is stored: all come by the stream."""

    async def every(self, _deleted_within: float) -> AsyncGenerator[list[EntityChanged]]:
        for nothing in ():
            yield nothing

    async def since(self, _milliseconds: int) -> AsyncGenerator[list[EntityChanged]]:
        for nothing in ():
            yield nothing


async def whole(
    scene: Scene, rate: int, port: int, server: int, folder: Path, seconds: float
) -> tuple[float, float, float]:
    """CPU per change of processor and Valkey in microseconds, and deliveries per change."""
    client = aioredis.Redis(host="127.0.0.1", port=port)
    await client.flushall()
    engine = Engine(scene.matcher(grid=False), 1000)
    publisher = Publisher(client, "benchmark", _TICK, 8_388_608)
    store: Any = _Nothing()
    consumer = Consumer(client, store, engine, publisher, batch=500, tick_seconds=_TICK, catch_up_seconds=60)
    stop = asyncio.Event()
    running = [asyncio.create_task(one.run(stop)) for one in (publisher, consumer)]
    await consumer.loaded.wait()
    points = folder / "points.json"
    points.write_text(json.dumps(scene.points))
    arguments = [str(port), str(points), str(rate), str(seconds)]
    feeding = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.realtime.matching_feed", *arguments
    )
    while not engine.counts.applied and not any(one.done() for one in running):  # noqa: ASYNC110  # the engine has no event, and this is the benchmark
        await asyncio.sleep(0.01)
    ours, theirs, applied = time.process_time(), cpu_seconds(server), engine.counts.applied
    delivered = engine.counts.deliveries
    await feeding.wait()
    await asyncio.sleep(2 * _TICK)
    used, applied = time.process_time() - ours, engine.counts.applied - applied
    theirs = cpu_seconds(server) - theirs
    stop.set()
    await asyncio.gather(*running)
    await client.aclose()
    each_delivered = (engine.counts.deliveries - delivered) / applied
    return used / applied * 1e6, theirs / applied * 1e6, each_delivered


def beside(count: int, rounds: int, seconds: float) -> None:
    """Old and new take turns on one server."""
    scene = Scene(count)
    CACHE.mkdir(exist_ok=True)
    ratios: dict[int, list[float]] = {rate: [] for rate in _RATES}
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name, valkey(Path(name)) as (port, server):
        for _ in range(rounds):
            found = {
                rate: asyncio.run(whole(scene, rate, port, server, Path(name), seconds)) for rate in _RATES
            }
            try:
                old = matching_old.measure(
                    port, server, scene.boxes, scene.points, Path(name), install=rounds > 1
                )
            except MissingError as missing:
                old = None
                print(f"old design: {missing}")
            for rate, (ours, theirs, matched) in found.items():
                line = f"{count:9,} {rate:6,} {matched:8.1f} {ours:9.1f} {theirs:7.1f}"
                line += f" {ours * rate / 1e4:6.1f} %"
                if old is not None:
                    ratios[rate].append(old.both / (ours + theirs))
                    line += f" {old.processor:9,.0f} {old.valkey:8,.0f}"
                    line += f" {old.candidates:10,.0f} {old.matched:8.1f}"
                    line += f" {old.processor / ours:7.0f} {ratios[rate][-1]:7.0f}"
                print(line, flush=True)
    for rate, each_ratio in ratios.items():
        if each_ratio:
            print(
                f"{count:9,} {rate:6,} old / new, each with its Valkey: {statistics.median(each_ratio):.0f} "
                f"({min(each_ratio):.0f} to {max(each_ratio):.0f} in {len(each_ratio)} rounds)"
            )


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime.matching")
    parser.add_argument("--quick", action="store_true", help="few viewports: does it work?")
    parser.add_argument("--rounds", type=int, default=3, help="how often old and new take turns")
    arguments = parser.parse_args()
    print("match with the state before, and move, in us of CPU; memory in KB per viewport, all of it")
    print(
        "viewports  matched  scan: us      move       KB  grid: us      move       KB",
        flush=True,
    )
    for count in (1000,) if arguments.quick else (1000, 10_000, 20_000, 50_000, 200_000):
        print(index(count), flush=True)
    print("whole path per change in us of CPU, beside the old design, which runs as fast as it can")
    print(
        "viewports     /s  matched processor  Valkey    core old proc.   Valkey"
        " candidates  matched  proc x   all x",
        flush=True,
    )
    for count in (1000,) if arguments.quick else (1000, 20_000):
        beside(count, 1 if arguments.quick else arguments.rounds, 1.0 if arguments.quick else 6.0)


if __name__ == "__main__":
    main()
