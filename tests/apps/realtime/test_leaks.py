"""Who has been here leaves nothing behind: not in the process, not in Redis, not as an open file."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import websockets

from apps.contracts.bus import SHARDS, viewports_key
from apps.platform.health import Health, State
from apps.platform.lifecycle import ServiceGroup
from apps.platform.serve import _server
from apps.realtime.app import build
from apps.realtime.connection import Connection
from apps.realtime.hub import Client as HubClient
from apps.realtime.session import Session
from apps.realtime.settings import RealtimeSettings
from tests.apps.realtime.live import Client, free_port, held_sockets

if TYPE_CHECKING:
    import pytest

    from tests.apps.realtime.live import World

MANY = 500


@asynccontextmanager
async def gateway_here(
    world: World, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> AsyncIterator[dict[str, Any]]:
    """The gateway and its server in this process: its services by name."""
    values = {**world._environment, "SERVICE": "realtime", "PORT": str(free_port())}
    for name, value in {**values, **{key.upper(): str(item) for key, item in more.items()}}.items():
        monkeypatch.setenv(name, value)
    settings = RealtimeSettings()  # pyright: ignore[reportCallIssue]  # from the environment
    health = Health()
    async with build(settings, health) as application:
        server = _server(application.asgi, settings)
        serving = asyncio.create_task(server.serve())
        group = ServiceGroup(application.services)
        group.start()
        for hook in application.started:
            await hook()
        health.to(State.READY)
        try:
            yield {"port": settings.port, **{service.name: service for service in application.services}}
        finally:
            server.stop()
            await asyncio.wait((serving,), timeout=10)
            await group.stop(5)
        assert group.crash is None


async def visit(port: int, token: str, number: int) -> None:
    """Come, say something or not, and go: in order, by dropping the connection, or thrown out."""
    socket = await websockets.connect(
        f"ws://127.0.0.1:{port}/ws", ping_interval=None, compression=None, close_timeout=5
    )
    client = Client(socket)
    if number % 10 == 9:
        await client.send(type="dance")
        await client.closed()
        return
    if number % 10 != 8:
        await client.identify(token)
    if number % 5 == 0:
        await client.look_at(5.0, 45.0, 11.0, 48.0)
    if number % 2:
        socket.transport.abort()
    else:
        await socket.close()


def left(port: int) -> Counter[str]:
    """Objects of connections that still exist, and their sockets, at either end."""
    gc.collect()
    kinds = (Connection, HubClient, Session)
    found = Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))
    found["sockets"] = held_sockets(port) + held_sockets(port, remote=True)
    return +found


def memory() -> int:
    """This process in MiB."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024


async def visits(world: World, parts: dict[str, Any]) -> None:
    """Half the visits, a few at a time, and the wait until the gateway has forgotten them."""
    tokens = [world.token(f"u{number}") for number in range(50)]
    for start in range(0, MANY, 25):
        await asyncio.gather(*(visit(parts["port"], tokens[n % 50], n) for n in range(start, start + 25)))
    end = time.monotonic() + 20
    while parts["hub"].clients or parts["gateway"].connections or parts["bus"]._outgoing:
        assert time.monotonic() < end, "somebody is still here"
        await asyncio.sleep(0.1)


async def test_a_thousand_visits_leave_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    """After 1,000 connections of every kind: no session, slot, registration, object or file more than before."""
    world.write("a", 46.0, 8.0)
    await world.processor()
    async with gateway_here(world, monkeypatch, resume_seconds=0.2, viewport_ttl_seconds=1) as parts:
        hub, bus, snapshots = (parts[name] for name in ("hub", "bus", "snapshots"))
        await visits(world, parts)
        size = memory()
        await visits(world, parts)
        end = time.monotonic() + 10
        while found := left(parts["port"]):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.2)
        assert memory() - size < 8
        assert hub.by_user == hub._detached == {}
        assert set(hub._slots) == {None}
        assert len(hub._free) == len(hub._slots)
        assert bus._renew_at == bus._waiting_since == {}
        assert snapshots._wanted == snapshots._running == snapshots._replaced_at == {}
        assert sum(world.redis.hlen(viewports_key(shard)) for shard in range(SHARDS)) == 0
        # slots rest for two lives of a registration and are used again
        assert len(hub._slots) < MANY
