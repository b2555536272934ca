"""Writes under load through a real API, acknowledged version by version, and clients that follow them.

What every fault test asserts is here: nothing acknowledged is lost, no frame is missing, doubled or out of order
(`live.Client` fails on it), and every client ends with exactly what the database says it may see.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import psycopg
import websockets

from tests.apps.realtime.live import Client

if TYPE_CHECKING:
    from tests.apps.realtime.live import Process, World

BOX = (5.0, 45.0, 11.0, 48.0)  # west, south, east, north
#: What the tests promise: so soon after a fault is over every client has the true state.
CONVERGE_SECONDS = 5.0
_BACKOFF = (0.05, 0.1, 0.2, 0.4, 0.8)


class Writer:
    """Upserts its entities over and over, some of them out of the box and back; keeps what was acknowledged."""

    def __init__(self, url: str, token: str, ids: list[str]) -> None:
        self.acknowledged: dict[str, int] = {}
        self.answers: Counter[str] = Counter()
        self._url = f"{url}/v1/entities/bulk"
        self._token = token
        self._ids = ids

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop; a refused write is simply followed by the next."""
        turn = 0
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(10)) as session:
            while not stop.is_set():
                turn += 1
                try:
                    await self._write(session, turn)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.03)

    async def _write(self, session: aiohttp.ClientSession, turn: int) -> None:
        rows = [
            {
                "id": name,
                "kind": "aircraft",
                "lat": 46.0 + (turn % 100) / 100,
                # now and then one leaves every viewport
                "lon": 50.0 if (turn + number) % 7 == 0 else 8.0,
            }
            for number, name in enumerate(self._ids)
        ]
        async with session.post(self._url, json={"entities": rows}) as answer:
            self.answers[str(answer.status)] += 1
            if answer.status == 200:
                for one in (await answer.json())["results"]:
                    self.acknowledged[one["id"]] = one["version"]


class Follower:
    """A map that stays open: reconnects as the protocol says, resumes where it can, answers pings."""

    def __init__(self, world: World, user: str, gateways: list[Process]) -> None:
        self.has: dict[str, dict[str, Any]] = {}
        self.closes: list[tuple[int, str]] = []
        self.welcomes: list[bool] = []
        self.kinds: Counter[str] = Counter()
        self.problem: BaseException | None = None
        self._world = world
        self._user = user
        self._gateways = gateways
        self._last: Client | None = None

    @property
    def versions(self) -> dict[str, int]:
        """What it shows now."""
        return {name: entity["version"] for name, entity in self.has.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop."""
        attempt = 0
        while not stop.is_set():
            retry = _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
            attempt += 1
            try:
                async with websockets.connect(
                    f"ws://127.0.0.1:{self._gateways[attempt % len(self._gateways)].port}/ws",
                    ping_interval=None,
                    compression=None,
                    max_size=None,
                    close_timeout=1,
                ) as socket:
                    await self._greet(Client(socket))
                    attempt = 0
                    await self._follow(socket, stop)
            except websockets.ConnectionClosed as closed:
                if closed.rcvd is not None:
                    self.closes.append((closed.rcvd.code, closed.rcvd.reason))
                    retry = _retry_of(closed.rcvd.reason, retry)
            except (OSError, TimeoutError, websockets.InvalidHandshake):
                pass
            except BaseException as problem:
                self.problem = problem
                raise
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), retry * random.uniform(0.8, 1.2))

    async def _greet(self, client: Client) -> None:
        resume: dict[str, Any] = {}
        if self._last is not None:
            client.has = self._last.has
            resume = {
                "session": self._last.session,
                "epoch": self._last.epoch,
                "since": self._last.seq,
            }
        self._client = client
        welcome = await client.identify(self._world.token(self._user), **resume)
        self.welcomes.append(welcome["recovered"])
        self._last, self.has = client, client.has
        if not welcome["recovered"]:
            west, south, east, north = BOX
            await client.send(type="viewport", west=west, south=south, east=east, north=north, zoom=5)

    async def _follow(self, socket: Any, stop: asyncio.Event) -> None:
        client = self._client
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                frame = await client.frame(0.5)
                self.kinds[frame["type"]] += 1
                self.has = client.has
                if frame["type"] == "ping":
                    await client.send(type="pong")
                client.frames.clear()
                client.applied.clear()


def _retry_of(reason: str, otherwise: float) -> float:
    try:
        return float(json.loads(reason)["retry_ms"]) / 1000
    except (ValueError, KeyError):
        return otherwise


class Load:
    """Writers and followers that run until `settled`."""

    def __init__(self, world: World, api: Process, gateways: list[Process], name: str) -> None:
        self.world = world
        self.writers = [
            Writer(
                api.base,
                world.issuer.token(f"writer{n}", "entities:read entities:write"),
                [f"{name}{n}.{m}" for m in range(8)],
            )
            for n in range(3)
        ]
        self.followers = [Follower(world, f"{name}-user{n}", gateways) for n in range(6)]
        self.writing, self.following = asyncio.Event(), asyncio.Event()

    @property
    def acknowledged(self) -> int:
        """How many versions were acknowledged so far."""
        return sum(sum(writer.acknowledged.values()) for writer in self.writers)

    def truth(self) -> tuple[dict[str, int], dict[str, int]]:
        """Versions of all entities, and of those in the box, as the database has them."""
        with psycopg.connect(self.world.database.app_dsn) as connection:
            rows = connection.execute(
                "SELECT id, version, lon BETWEEN 5 AND 11 FROM entities WHERE deleted_at IS NULL"
            ).fetchall()
        return {row[0]: row[1] for row in rows}, {row[0]: row[1] for row in rows if row[2]}

    async def flowing(self, more: int = 200, seconds: float = 30) -> None:
        """Wait until so many further versions are acknowledged and every client holds something."""
        goal = self.acknowledged + more
        await self.until(
            lambda: self.acknowledged >= goal and all(one.has for one in self.followers), "flows", seconds
        )

    async def until(self, check: Callable[[], Any], what: str, seconds: float = 30) -> float:
        """Wait for a condition; returns how long it took. A client that saw a broken rule fails at once."""
        begun = time.monotonic()
        while not check():
            for one in self.followers:
                if one.problem is not None:
                    raise AssertionError("a client was told something wrong") from one.problem
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not {what} after {seconds} s: {self.told()}")
            await asyncio.sleep(0.03)
        return time.monotonic() - begun

    async def settled(self, seconds: float = CONVERGE_SECONDS) -> float:
        """Stop writing; every client must have the true state in time, and nothing acknowledged may be lost."""
        self.writing.set()
        stored, seen = await asyncio.to_thread(self.truth)
        # requests that were under way may still commit
        await asyncio.sleep(0.2)
        stored, seen = await asyncio.to_thread(self.truth)
        took = await self.until(
            lambda: all(one.versions == seen for one in self.followers), f"all at {seen}", seconds
        )
        for writer in self.writers:
            lost = {
                name: version
                for name, version in writer.acknowledged.items()
                if stored.get(name, 0) < version
            }
            assert lost == {}, "acknowledged and not stored"
        return took

    def told(self) -> list[Any]:
        """What happened, for a failure's message."""
        return [
            [dict(one.answers) for one in self.writers],
            [(one.versions, one.closes, one.welcomes, dict(one.kinds)) for one in self.followers],
        ]


@asynccontextmanager
async def under_load(
    world: World, api: Process, gateways: list[Process], name: str = "e"
) -> AsyncIterator[Load]:
    """Write and follow inside the block, once all clients are there and changes flow."""
    load = Load(world, api, gateways, name)
    tasks = [asyncio.create_task(one.run(load.writing)) for one in load.writers]
    tasks += [asyncio.create_task(one.run(load.following)) for one in load.followers]
    try:
        await load.flowing()
        yield load
    finally:
        load.writing.set()
        load.following.set()
        done, late = await asyncio.wait(tasks, timeout=12)
        for task in late:
            task.cancel()
        await asyncio.gather(*done, *late, return_exceptions=True)
