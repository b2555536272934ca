"""Views and snapshots under races and slow readers, without any server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from apps.contracts.bus import Active
from apps.contracts.filters import SavedFilter
from apps.contracts.protocol import Bounds
from apps.platform.auth import Identity
from apps.realtime.gateway import Gateway
from apps.realtime.hub import Client, Hub
from apps.realtime.session import Bounded, Phase, Row, View
from apps.realtime.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

VIEW = View(Bounds(0.0, 0.0, 10.0, 10.0), filter_ids=("f",))


class Bus:
    """Counts registrations and sends none."""

    def __init__(self) -> None:
        self.rev = 0
        self.registered: list[Client] = []

    def next_rev(self) -> int:
        self.rev += 1
        return self.rev

    def register(self, client: Client) -> None:
        self.registered.append(client)


class Store:
    """A filter whose reads take until the test lets them go on."""

    def __init__(self) -> None:
        self.kind = "ship"
        self.reads = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def filters(self, user: str, ids: Sequence[str]) -> tuple[SavedFilter, ...]:
        self.reads += 1
        found = SavedFilter("f", "f", (self.kind,), (), user)
        await self.go_on.wait()
        return (found,)

    async def snapshot(
        self, user: str, groups: Sequence[str], view: View, *, everything: bool
    ) -> tuple[list[Row], bool]:
        self.reads += 1
        await asyncio.sleep(0)
        return [Row("a", 1, b'{"id":"a","version":1}')], False


def parts() -> tuple[Hub, Bus, Store, Gateway, Client]:
    """A gateway with one identified client."""
    hub = Hub(
        "g",
        Bounded(10**6, 100, 2000),
        tick_seconds=0.0,
        stall_seconds=30.0,
        max_detached=1,
        slot_rest_seconds=60.0,
    )
    bus, store = Bus(), Store()
    settings: Any = SimpleNamespace(
        resume_seconds=15.0, connections_per_second=1.0, connection_burst=1, max_identifying=1
    )
    made: Any = Gateway(settings, hub=hub, bus=bus, store=store, verifier=None, messages=None)
    return hub, bus, store, made, hub.open("s", Identity("ann"))


@asynccontextmanager
async def running(service: Any) -> AsyncIterator[None]:
    """Run a service inside the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def settle() -> None:
    """Let everything that is ready go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def kind_seen(client: Client) -> str:
    """What the session's filter lets through."""
    view = client.session.view
    assert view is not None
    return view.filters[0].kinds[0]


async def test_an_edit_while_an_edit_is_read_is_not_lost():
    """The second of two quick edits counts, also when the first is being read."""
    _, _, store, gateway, client = parts()
    gateway.look_at(client, await gateway.with_filters(client.session, VIEW))
    async with running(gateway):
        store.go_on.clear()
        store.kind = "train"
        gateway.filters_changed("ann")
        await settle()
        store.kind = "aircraft"
        gateway.filters_changed("ann")
        await settle()
        store.go_on.set()
        await settle()
        assert kind_seen(client) == "aircraft"


async def test_an_edit_while_a_viewport_reads_its_filters_is_not_lost():
    """The view was not in force when the edit was announced; it follows as soon as it is."""
    _, _, store, gateway, client = parts()
    seen: list[str] = []

    async def look() -> None:
        # as a connection does: in one task, so that nothing comes between the reading and the view
        gateway.look_at(client, await gateway.with_filters(client.session, VIEW))
        seen.append(kind_seen(client))

    async with running(gateway):
        store.go_on.clear()
        looking = asyncio.create_task(look())
        await settle()
        store.kind = "aircraft"
        gateway.filters_changed("ann")
        await settle()
        store.go_on.set()
        await looking
        await settle()
        assert [*seen, kind_seen(client)] == ["ship", "aircraft"]


async def test_a_client_forgotten_meanwhile_registers_nothing():
    """Its slot is or will be somebody else's: a registration would send them what was its own."""
    hub, bus, _, gateway, client = parts()
    hub.forget(client)
    gateway.look_at(client, VIEW)
    assert bus.registered == []


async def test_snapshots_for_a_client_that_does_not_read_do_not_pile_up():
    """Whatever it asks for, one snapshot waits at most; once it reads, the newest view is shown."""
    hub, _, store, gateway, client = parts()
    snapshots = Snapshots(hub, store, at_once=1, pause_seconds=0.0)
    hub.load = snapshots.request
    futures: list[asyncio.Future[None]] = []

    def send(_frame: str) -> asyncio.Future[None]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    client.send = send
    async with running(snapshots):
        for _ in range(20):
            gateway.look_at(client, VIEW)
            hub.active(Active("p", 1, [(client.session.slot, client.session.rev, True)]))
            await settle()
            await hub.flush()
        assert len(client.session.frames) == 1
        while client.session.phase is not Phase.LIVE or client.session.frames:
            futures[-1].set_result(None)
            await hub.flush()
            await settle()
        assert store.reads <= 4


async def test_without_a_tick_a_frame_leaves_at_once(monkeypatch: pytest.MonkeyPatch):
    """Only a socket that still takes the frame before is asked again after a pause."""
    monkeypatch.setattr("apps.realtime.hub.POLL_SECONDS", 60.0)
    hub, _, _, gateway, client = parts()
    hub.load = lambda one: hub.show(one, [], truncated=False)
    taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    taken.set_result(None)
    frames: list[str] = []

    def send(frame: str) -> asyncio.Future[None]:
        frames.append(frame)
        return taken

    client.send = send
    async with running(hub):
        for number in range(1, 4):
            gateway.look_at(client, VIEW)
            hub.active(Active("p", 1, [(client.session.slot, client.session.rev, True)]))
            await settle()
            assert len(frames) == number
