"""Everybody comes back at once: after a cut of the network with what they missed, after a death with the whole truth."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from tests.apps.realtime.live import Client

if TYPE_CHECKING:
    from tests.apps.realtime.live import Process, World

ALPS = (5.0, 45.0, 11.0, 48.0)
#: `make bench` has ten thousand; these are as many as fit beside the other tests.
MANY = 200


async def test_two_hundred_reconnects_at_once(world: World):
    """Cut off together they resume together, none lost; their gateway killed, they find all at another one."""
    first, second, _ = await asyncio.gather(
        world.gateway(active_seconds=20), world.gateway(active_seconds=20), world.processor()
    )
    tokens = [world.token(f"u{number}") for number in range(MANY)]
    world.write("a", 46.0, 8.0)

    async def arrive(gateway: Process, number: int, before: Client | None = None) -> Client:
        client = await world.connect(gateway)
        resume = {}
        if before is not None:
            client.has = before.has
            resume = {"session": before.session, "epoch": before.epoch, "since": before.seq}
        await client.send(type="identify", token=tokens[number], **resume)
        welcome = await client.until("welcome", 60)
        if not welcome["recovered"]:
            west, south, east, north = ALPS
            await client.send(type="viewport", west=west, south=south, east=east, north=north)
            await client.until("snapshot", 60)
        return client

    async def all_arrive(gateway: Process, before: list[Client] | None = None) -> list[Client]:
        return await asyncio.gather(*(arrive(gateway, n, before[n] if before else None) for n in range(MANY)))

    clients = await all_arrive(first)
    for client in clients:
        client.socket.transport.abort()
    world.write("a", 46.1, 8.0)
    world.write("b", 46.0, 8.0)
    clients = await all_arrive(first, clients)
    for client in clients:
        await client.holds({"a": 2, "b": 1})
        assert client.frames[0]["recovered"] is True
    first.stop(signal.SIGKILL)
    world.write("b", 10.0, 8.0)
    clients = await all_arrive(second, clients)
    world.write("a", 46.2, 8.0)
    for client in clients:
        await client.holds({"a": 3})
        assert client.frames[0]["recovered"] is False
