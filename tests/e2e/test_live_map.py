"""The whole local stack through the command line: a change reaches exactly the clients that may and want to see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from apps.client import connect
from tests.lab import left
from tests.lab.cli import Cli

ROOT = Path(__file__).parents[2]
UP = ("up", "--detach", "--no-replay", "--port", "0", "--timeout", "240")
pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

ALPS = {"west": 5.0, "south": 45.0, "east": 11.0, "north": 48.0}
PACIFIC = {"west": 170.0, "south": -10.0, "east": -170.0, "north": 10.0}  # across the antimeridian


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Cli]:
    """One start for the module, on free ports, with a state folder of its own."""
    cli = Cli(ROOT, tmp_path_factory.mktemp("e2e") / "home")
    ran = cli(*UP)
    assert ran.code == 0, ran.shown()
    yield cli
    cli("down", "--wipe")
    assert left.processes(cli.home) == []


def status(cli: Cli) -> dict[str, Any]:
    """What the running stack says of itself."""
    return json.loads((cli.home / "run" / "up" / "status.json").read_text())


class Person:
    """A user with a token, an API client and, once connected, a map."""

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str, token: str) -> None:
        self.session, self.url, self.name, self.token = session, url, name, token
        self.seen: dict[str, dict[str, Any]] = {}
        self.frames: list[dict[str, Any]] = []
        self.changed = asyncio.Event()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None

    async def put(self, id_: str, lat: float, lon: float, kind: str = "aircraft", **more: Any) -> None:
        await self.call("POST", "/v1/entities", {"id": id_, "kind": kind, "lat": lat, "lon": lon, **more})

    async def look(self, box: dict[str, float], **more: Any) -> None:
        """Connect, identify and show a viewport; frames are applied as a map does."""
        self.ws = await self.session.ws_connect(self.url + "/ws")
        await self.ws.send_json({"v": 1, "type": "identify", "token": self.token})
        await self.ws.send_json({"v": 1, "type": "viewport", **box, "zoom": 6, **more})
        self.reader = asyncio.create_task(self._read())
        await self.until(lambda: any(frame["type"] == "snapshot" for frame in self.frames))

    async def _read(self) -> None:
        async for message in self.ws:
            frame = json.loads(message.data)
            self.frames.append(frame)
            if frame["type"] == "ping":
                await self.ws.send_json({"v": 1, "type": "pong"})
            elif frame["type"] == "snapshot":
                self.seen = {entity["id"]: entity for entity in frame["entities"]}
            elif frame["type"] == "delta":
                for op in frame["ops"]:
                    if op["op"] == "upsert":
                        self.seen[op["entity"]["id"]] = op["entity"]
                    else:
                        self.seen.pop(op["id"], None)
            self.changed.set()

    async def until(self, check, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            left_seconds = deadline - time.monotonic()
            assert left_seconds > 0, (
                f"{self.name} has {sorted(self.seen)} and {[f['type'] for f in self.frames]}"
            )
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), min(left_seconds, 0.2))

    async def leave(self) -> None:
        if hasattr(self, "ws"):
            await self.ws.close()
            self.reader.cancel()


@pytest.fixture
async def people(stack: Cli) -> AsyncIterator[Any]:
    """Makes users of the running stack; their sockets close with the test."""
    url = status(stack)["url"]
    made: list[Person] = []
    async with aiohttp.ClientSession() as session:

        async def make(name: str, *groups: str) -> Person:
            query = urlencode([("user", name), *(("group", group) for group in groups or ("nobody",))])
            async with session.get(f"{url}/.slipway/token?{query}") as answer:
                made.append(Person(session, url, name, (await answer.json())["token"]))
            return made[-1]

        yield make
        for person in made:
            await person.leave()


async def test_a_change_reaches_exactly_those_who_may_and_want_to_see_it(people) -> None:
    """Viewport (also across the antimeridian), kinds, saved filter and access rule each keep out who they should."""
    writer = await people("writer", "pilots")
    pilot, bob = await people("pilot", "pilots"), await people("bob")
    away, ships, high = await people("away"), await people("ships"), await people("high")
    saved = await high.call(
        "POST",
        "/v1/filters",
        {
            "name": "high",
            "kinds": ["aircraft"],
            "where": [{"attribute": "altitude", "op": "gt", "value": 9000}],
        },
    )
    await asyncio.gather(
        pilot.look(ALPS),
        bob.look(ALPS),
        away.look(PACIFIC),
        ships.look(ALPS, kinds=["ship"]),
        high.look(ALPS, filters=[saved["id"]]),
    )
    await writer.put("open", 46.0, 7.0, attributes={"altitude": 3000})
    await writer.put("jet", 46.1, 7.1, attributes={"altitude": 11000})
    await writer.put("closed", 46.2, 7.2, access={"rule": "group", "group": "pilots"})
    await bob.put("private", 46.3, 7.3, access={"rule": "owner"})
    await writer.put("lake", 46.4, 6.5, kind="ship")
    await writer.put("island", 1.0, 179.9, kind="ship")
    await writer.put("outside", 60.0, 7.0)
    # one more for each of the two places, seen by everyone there: what came before it has arrived or never will
    await writer.put("last-alps", 46.5, 8.0, kind="ship")
    await writer.put("last-jet", 46.5, 8.1, attributes={"altitude": 12000})
    await writer.put("last-pacific", 1.0, -179.9)
    expected = {
        pilot: {"open", "jet", "closed", "lake", "last-alps", "last-jet"},
        bob: {"open", "jet", "private", "lake", "last-alps", "last-jet"},
        away: {"island", "last-pacific"},
        ships: {"lake", "last-alps"},
        high: {"jet", "last-jet"},
    }
    for person, ids in expected.items():
        await person.until(lambda person=person, ids=ids: ids <= set(person.seen))
    await asyncio.sleep(0.5)  # four ticks: whatever should not come has had its time
    assert {person.name: set(person.seen) for person in expected} == {
        person.name: ids for person, ids in expected.items()
    }
    everything = {"open", "jet", "closed", "private", "lake", "island", "outside"}
    for person, ids in expected.items():
        told = json.dumps(person.frames)
        assert not [id_ for id_ in everything - ids if f'"{id_}"' in told], person.name


async def test_both_ways_in_show_the_same_through_the_front(people) -> None:
    """The Python client by websocket and by event stream: the graph's own rules lead both to the gateway."""
    writer = await people("writer-both")
    async with (
        connect(writer.url, token=lambda _: writer.token, transport="websocket") as sockets,
        connect(writer.url, token=lambda _: writer.token, transport="sse") as events,
    ):
        for live in (sockets, events):
            live.look_at(west=20, south=-46, east=21, north=-45)
            await live.ready()
        await writer.put("both", -45.5, 20.5)
        for live in (sockets, events):
            change = await asyncio.wait_for(anext(aiter(live)), 20)
            assert (change.id, change.entity and change.entity["version"]) == ("both", 1)


async def test_moves_and_deletions_are_told(people) -> None:
    """An entity that leaves a viewport, changes its access or is deleted goes from exactly those maps."""
    writer, pilot, bob = (
        await people("writer2", "pilots"),
        await people("pilot2", "pilots"),
        await people("bob2"),
    )
    await asyncio.gather(pilot.look(ALPS), bob.look(ALPS))
    for id_ in ("mover", "hidden", "gone"):
        await writer.put(id_, 47.0, 8.0)
    for person in (pilot, bob):
        await person.until(lambda person=person: {"mover", "hidden", "gone"} <= set(person.seen))
    await writer.call("PATCH", "/v1/entities/mover", {"lat": 20.0, "lon": 8.0})
    await writer.call("PATCH", "/v1/entities/hidden", {"access": {"rule": "group", "group": "pilots"}})
    await writer.call("DELETE", "/v1/entities/gone")
    await pilot.until(lambda: not {"mover", "gone"} & set(pilot.seen))
    await bob.until(lambda: not {"mover", "hidden", "gone"} & set(bob.seen))
    assert "hidden" in pilot.seen


async def test_a_killed_gateway_is_restarted_and_its_clients_come_back(stack: Cli, people) -> None:
    """Kill -9 of the websocket service: the socket breaks, a new process serves, a new snapshot is whole."""
    writer, viewer = await people("writer3"), await people("viewer3")
    await writer.put("survivor", 46.0, 9.0)
    await viewer.look(ALPS)
    assert "survivor" in viewer.seen
    before = next(row for row in status(stack)["rows"] if row["name"] == "websocket")
    os.kill(before["pid"], signal.SIGKILL)
    await asyncio.wait_for(viewer.reader, 20)
    deadline = time.monotonic() + 60
    while True:
        row = next(row for row in status(stack)["rows"] if row["name"] == "websocket")
        if row["state"] == "ready" and row["pid"] != before["pid"]:
            break
        assert time.monotonic() < deadline, row
        await asyncio.sleep(0.1)
    assert row["restarts"] == before["restarts"] + 1
    viewer.seen, viewer.frames = {}, []
    await viewer.look(ALPS)
    assert "survivor" in viewer.seen


@pytest.mark.timeout(90)
async def test_the_figures_of_all_services_are_live(people) -> None:
    """Through the front, each service of the stack says how it is, and a change's way to a client has a time."""
    ann = await people("ann")
    await ann.look(ALPS)

    async def services() -> dict[str, dict[str, Any]]:
        await ann.put(f"measured-{time.monotonic_ns()}", 46.0, 7.0)
        answer = await ann.call("GET", "/v1/figures")
        return {each["service"]: each["spreads"] for each in answer["processes"]}

    end = time.monotonic() + 60
    wanted = {"api", "websocket", "filter-processor"}
    while (found := await services()).keys() != wanted or "EventToDelivery" not in found["websocket"]:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.3)
    assert 0 <= found["websocket"]["EventToDelivery"]["p99"] < 20_000


async def test_a_forged_token_gets_nothing(people) -> None:
    """A token signed by another key: 401 from the API, close code 4401 from the gateway."""
    mallory = await people("mallory")
    head, body, _ = mallory.token.split(".")
    forged = f"{head}.{body}.{'A' * 342}"
    async with mallory.session.get(
        mallory.url + "/v1/me", headers={"Authorization": f"Bearer {forged}"}
    ) as answer:
        assert answer.status == 401
    async with mallory.session.ws_connect(mallory.url + "/ws") as ws:
        await ws.send_json({"v": 1, "type": "identify", "token": forged})
        async for _ in ws:
            pass
        assert ws.close_code == 4401


async def test_z_state_is_kept_over_down_and_up(stack: Cli) -> None:
    """What was acknowledged is there after a stop and a start; no process or port is left in between."""
    url = status(stack)["url"]

    async def fetch(path: str, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.get(status(stack)["url"] + path, headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    token = (await fetch("/.slipway/token?user=keeper"))[1]["token"]
    async with aiohttp.ClientSession() as session:
        body = {"id": "kept", "kind": "aircraft", "lat": 1.0, "lon": 2.0}
        async with session.post(
            url + "/v1/entities", json=body, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert answer.status == 201
    down = await asyncio.to_thread(stack, "down")
    assert down.code == 0, down.shown()
    assert left.processes(stack.home) == []
    assert not left.listens(url)
    up = await asyncio.to_thread(stack, *UP)
    assert up.code == 0, up.shown()
    token = (await fetch("/.slipway/token?user=keeper"))[1]["token"]
    code, entity = await fetch("/v1/entities/kept", token)
    assert (code, entity["version"]) == (200, 1)
