"""What is done to a server, and what was seen: each returns plain records that the figures are made of."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.realtime import machine
from benchmarks.realtime.candidates import OLD, start
from benchmarks.realtime.load import open_load
from benchmarks.realtime.processor import playing
from benchmarks.realtime.stalled import stalled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.realtime.candidates import Server
    from benchmarks.realtime.load import Load
    from benchmarks.realtime.world import World

Record = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much of everything: the whole measurement, or a smoke test of it."""

    seconds: float = 3.0
    runs: int = 3
    quiet_seconds: float = 5.0
    share: float = 1.0
    stalled_messages: int = 100_000

    def clients(self, count: int) -> int:
        """A share of the clients, never fewer than one update is for."""
        return max(int(count * self.share), 50)

    def rate(self, rate: float) -> float:
        """The same share of the load."""
        return max(rate * self.share, 100.0)


#: 50 clients, a second each.
SMOKE = Scale(seconds=0.5, runs=1, quiet_seconds=0, share=0.005, stalled_messages=2000)
#: The old design holds two sockets per client: more clients than this are more files than a process may open.
OLD_SHARE = 0.95


@asynccontextmanager
async def _loaded(
    world: World, kind: str, clients: int, *, active: int = 0, **settings: object
) -> AsyncGenerator[tuple[Server, Load, Record]]:
    """A server with its clients connected and ready."""
    async with (
        start(kind, world, **settings) as server,
        playing(world) as processor,
        open_load(world, server, clients) as load,
    ):
        connected = await load.connect(clients)
        if connected["ready"] < clients:
            raise RuntimeError(f"{kind}: {connected['ready']} of {clients} clients became ready")
        await load.publishes(world, server, processor, active or clients)
        yield server, load, connected


async def frames(
    world: World, scale: Scale, kind: str, clients: int, *, tick: int, under_way: float
) -> list[Record]:
    """As many user messages as the server takes with `under_way` per client on their way."""
    count = scale.clients(clients)
    window = max(int(count * under_way), 100)
    found: list[Record] = []
    async with _loaded(world, kind, count, tick_milliseconds=tick) as (_, load, _connected):
        for _ in range(scale.runs):
            await machine.wait_until_quiet(scale.quiet_seconds)
            seen = await load.run(scale.seconds, window=window)
            found.append(
                {**seen, "clients": count, "per_core": seen["delivered"] / max(seen["server_cores"], 0.001)}
            )
    return found


async def peak(
    world: World, scale: Scale, kind: str, clients: int, active: int, rates: list[float], *, tick: int
) -> list[Record]:
    """Many open, some active: what each rate of user messages costs and how late they are."""
    count, busy = scale.clients(clients), scale.clients(active)
    if kind == OLD:
        count = int(min(count, machine.open_files() * OLD_SHARE / 2))
    found: list[Record] = []
    async with _loaded(world, kind, count, active=busy, tick_milliseconds=tick) as (server, load, connected):
        for rate in rates:
            for _ in range(scale.runs):
                await machine.wait_until_quiet(scale.quiet_seconds)
                seen = await load.run(scale.seconds, rate=scale.rate(rate))
                # one that falls behind has not done all the work that its cores are compared by
                behind = max(seen["published"] / max(seen["delivered"], 1.0), 1.0)
                found.append(
                    {
                        **seen,
                        "clients": count,
                        "rate": scale.rate(rate),
                        "cores": (seen["server_cores"] + seen["redis_cores"]) * behind,
                        "connect_seconds": connected["seconds"],
                        "kb_per_connection": server.memory_kb() / count,
                    }
                )
    return found


async def idle(world: World, scale: Scale, kind: str, clients: int) -> list[Record]:
    """Connections that are open, identified, and silent but for heartbeats."""
    count = scale.clients(clients)
    async with start(kind, world) as server, playing(world), open_load(world, server, count) as load:
        connected = await load.connect(count)
        kb = server.memory_kb() / count
        await machine.wait_until_quiet(scale.quiet_seconds)
        seen = await load.idle(scale.seconds * 4)
    return [{**seen, "clients": count, "kb_per_connection": kb, "connect_seconds": connected["seconds"]}]


async def storm(world: World, scale: Scale, kind: str, clients: int) -> list[Record]:
    """Everybody comes back at once: how long until each is identified, and until each has its snapshot."""
    count = scale.clients(clients)
    if kind == OLD:
        count = int(min(count, machine.open_files() * OLD_SHARE / 2))
    found: list[Record] = []
    for look in (False, True):
        async with (
            start(kind, world) as server,
            playing(world),
            open_load(world, server, count, look=look) as load,
        ):
            await load.connect(count)
            await load.close(count)
            await machine.wait_until_quiet(scale.quiet_seconds)
            seen = await load.connect(count, at_once=count)
            found.append({**seen, "clients": count, "look": look, "lost": count - seen["ready"]})
        if not server.speaks_ours:
            break
    return found


async def intake(world: World, scale: Scale, kind: str, clients: int, rate: float) -> list[Record]:
    """Viewports that clients send, and all that the server does for each."""
    count = scale.clients(clients)
    async with _loaded(world, kind, count) as (_, load, _connected):
        found: list[Record] = []
        for _ in range(scale.runs):
            await machine.wait_until_quiet(scale.quiet_seconds)
            seen = await load.viewports(scale.rate(rate), scale.seconds)
            cores = seen["server_cores"] + seen["redis_cores"]
            found.append({**seen, "microseconds": cores / seen["sent"] * 1e6})
    return found


async def one_stalled(world: World, scale: Scale, kind: str) -> list[Record]:
    """One client that never reads beside a healthy one."""
    async with start(kind, world) as server, playing(world) as processor:
        begun = time.monotonic()
        seen = await stalled(world, server, processor, scale.stalled_messages)
    return [{**seen, "seconds": time.monotonic() - begun}]
