"""The Python client against real gateways behind the local front: rolled, killed, blocked and signed out."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from apps.client import SignedOutError, connect
from apps.platform.publish import Messages
from lab.run import rules
from lab.run.front import Front, Routes, Target, TargetGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from apps.client import Live
    from lab.servers import RedisServer
    from tests.apps.realtime.live import Process, World

ALPS = {"west": 5.0, "south": 45.0, "east": 11.0, "north": 48.0}


class Balancer:
    """The front with the gateways' target group; a test decides who is in it and whether /ws passes."""

    def __init__(self, *gateways: Process, websockets: bool = True) -> None:
        self.group = TargetGroup("tg", "gateways", 60)
        self.use(*gateways)
        forward = [{"type": "forward", "targetGroupArn": "tg"}]
        blocked = [{"type": "fixed-response", "fixedResponse": {"statusCode": "403"}}]
        self.listener = rules.listener("https", {"port": 443, "protocol": "HTTPS", "defaultActions": forward})
        if not websockets:
            path = [{"pathPattern": {"values": ["/ws"]}}]
            self.listener.rules.append(rules.rule({"priority": 1, "conditions": path, "actions": blocked}))
        self.front = Front(Routes(self.listener, {"tg": self.group}), lambda: (True, {}))

    def use(self, *gateways: Process) -> None:
        self.group.targets = [Target(str(one.port), one.port, lambda: True) for one in gateways]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"


@asynccontextmanager
async def balanced(*gateways: Process, websockets: bool = True) -> AsyncIterator[Balancer]:
    """A running balancer."""
    made = Balancer(*gateways, websockets=websockets)
    await made.front.start(0)
    try:
        yield made
    finally:
        await made.front.stop()


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


class Watcher:
    """Reads all changes of a client and holds them against what a client may be shown."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.states: list[str] = []
        self.recovered: list[bool] = []
        self.transports: set[str] = set()
        self.newest: dict[str, int] = {}
        self.again = asyncio.Event()
        live.on("state", self._state)
        self.reading = asyncio.create_task(self._read())

    def _state(self, name: str, detail: Any) -> None:
        self.states.append(name)
        if name == "live":
            self.recovered.append(detail.recovered)
            self.transports.add(detail.transport)
            if len(self.recovered) > 1:
                self.again.set()

    async def _read(self) -> None:
        async for change in self.live:
            if change.entity is not None:
                version = change.entity["version"]
                assert version > self.newest.get(change.id, 0), "a version came twice or went back"
                self.newest[change.id] = version

    async def holds(self, versions: dict[str, int], seconds: float = 30) -> None:
        """Wait until the client has exactly these, both merged and as read."""
        end = time.monotonic() + seconds
        while {name: one["version"] for name, one in self.live.entities.items()} != versions or (
            not versions.items() <= self.newest.items()
        ):
            assert not self.reading.done(), self.reading.exception()
            assert time.monotonic() < end, f"{sorted(self.live.entities)} in {self.states}"
            await asyncio.sleep(0.02)


async def test_gateways_are_rolled_and_killed_and_clients_converge(world: World):
    """Changes go on through a drop, a roll to another gateway and a death: none is lost, none is seen twice."""
    first, _ = await world.pair(retry_milliseconds=500)
    versions: dict[str, int] = {}

    async def write(turns: int) -> None:
        for turn in range(turns):
            for name in ("a", "b", f"n{turn % 7}"):
                versions[name] = world.write(name, 46.0 + turn / 1000, 8.0).version
            await asyncio.sleep(0.02)

    async def converge() -> None:
        await asyncio.gather(*(watcher.holds(versions) for watcher in watchers))

    async with (
        balanced(first) as balancer,
        connect(balancer.url, token=lambda _: world.token(), transport="websocket") as sockets,
        connect(balancer.url, token=lambda _: world.token(), transport="sse") as events,
    ):
        watchers = [Watcher(sockets), Watcher(events)]
        for live in (sockets, events):
            live.look_at(**ALPS)
            await live.ready()
        await write(5)
        await converge()
        # the network breaks: the same gateway has what was missed
        for tunnel in list(balancer.front._tunnels):
            tunnel.close()
        await write(5)
        await converge()
        assert watchers[0].recovered == [False, True]
        # a deploy: the new one is there before the old one ends
        second = await world.gateway()
        balancer.use(second)
        ended, _ = await asyncio.gather(asyncio.to_thread(first.stop), write(20))
        assert ended == 0
        await converge()
        # a death: nobody says goodbye, and nothing listens for a while
        second.stop(signal.SIGKILL)
        third, _ = await asyncio.gather(world.gateway(), write(10))
        balancer.use(third)
        await converge()
        for watcher in watchers:
            assert "draining" in watcher.states
            assert watcher.recovered[-1] is False
            assert watcher.transports == {watcher.live.transport}
    for watcher in watchers:
        await watcher.reading
        assert watcher.live.state == "stopped"


async def test_where_websockets_are_blocked_events_come_and_a_moved_view_resumes(
    world: World, valkey: RedisServer
):
    """By itself the client takes the stream; another view keeps the session, and messages meanwhile come once."""
    gateway, _ = await world.pair()
    world.write("near", 46.0, 8.0)
    world.write("far", -33.0, 151.0)
    async with (
        balanced(gateway, websockets=False) as balancer,
        connect(balancer.url, token=lambda _: world.token(), inbox=True) as live,
        redis.asyncio.Redis.from_url(valkey.admin_url()) as connection,
    ):
        watcher = Watcher(live)
        stands: set[str] = set()
        told: dict[str, list[int]] = {"user": [], "public.news": []}
        live.on("subscribed", lambda channels: stands.update(one["channel"] for one in channels))
        live.on("message", lambda message: told[message["channel"]].append(message["data"]))
        live.subscribe("public.news")
        live.look_at(**ALPS)
        await watcher.holds({"near": 1})
        await until(lambda: stands == set(told))
        assert live.transport == "sse"
        live.look_at(west=150, south=-34, east=152, north=-32)
        send = Messages(connection)
        for turn in range(40):
            await send.to_user("ann", "note", turn)
            await send.to_channel("public.news", "note", turn)
            await asyncio.sleep(0.02)
        await watcher.holds({"far": 1})
        await until(lambda: all(len(got) >= 40 for got in told.values()))
        assert told == {"user": list(range(40)), "public.news": list(range(40))}
        world.write("far", -33.1, 151.0)
        await watcher.holds({"far": 2})
        assert watcher.states.count("live") == 1
        assert len([line for line in gateway.events() if line["event"] == "session.opened"]) == 2
        assert [line["recovered"] for line in gateway.events() if line["event"] == "session.opened"][
            1
        ] is True


async def test_a_token_is_renewed_in_time_and_a_refused_one_ends_it(world: World):
    """When a token runs out a fresh one is asked for, once; with none that holds the program is told."""
    gateway = await world.gateway()

    async def renewed(url: str, transport: Any) -> None:
        asked: list[bool] = []

        async def token(fresh: bool) -> str:
            asked.append(fresh)
            return world.token(ttl=300 if fresh else 2)

        async with connect(url, token=token, transport=transport) as live:
            watcher = Watcher(live)
            await live.ready()
            await asyncio.wait_for(watcher.again.wait(), 30)
            assert asked == [False, True]
            assert watcher.states[-4:] == ["live", "reconnecting", "reconnecting", "live"]

    async def refused(url: str, transport: Any) -> None:
        async with connect(url, token=lambda _: "forged", transport=transport) as live:
            with pytest.raises(SignedOutError):
                await live.ready()
            with pytest.raises(SignedOutError):
                await anext(aiter(live))

    async with balanced(gateway) as balancer:
        uses = [use(balancer.url, way) for use in (renewed, refused) for way in ("websocket", "sse")]
        await asyncio.gather(*uses)


async def test_a_program_that_reads_late_is_given_the_newest_of_each(world: World):
    """What has not been read is merged: many versions are one change, and what came and went is none."""
    gateway, _ = await world.pair()
    async with balanced(gateway) as balancer, connect(balancer.url, token=lambda _: world.token()) as live:
        live.look_at(**ALPS)
        await live.ready()
        for turn in range(1, 6):
            world.write("a", 46.0 + turn / 10, 8.0)
        world.write("gone", 46.0, 8.0)
        world.write("b", 46.0, 8.0)
        await until(lambda: {"b", "gone"} <= set(live.entities) and live.entities["a"]["version"] == 5)
        world.write("gone", 10.0, 8.0)
        await until(lambda: "gone" not in live.entities)
        changes = aiter(live)
        got = [await anext(changes), await anext(changes)]
        assert {change.id: change.entity and change.entity["version"] for change in got} == {"a": 5, "b": 1}
        world.write("b", 10.0, 8.0)
        assert (await anext(changes)).entity is None
