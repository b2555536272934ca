"""A failover of Valkey under load: the address leads elsewhere, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx

from tests.apps.realtime.failover import Group
from tests.apps.realtime.live import World

if TYPE_CHECKING:
    from pathlib import Path

    from lab.issuer import Issuer
    from tests.apps.realtime.live import Client, Process
    from tests.servers import Database

ALPS = (5.0, 45.0, 11.0, 48.0)


class Writer:
    """Changes entities over the API all the time, and knows what was acknowledged."""

    def __init__(self, api: Process, token: str) -> None:
        self.acknowledged: dict[str, int] = {}
        self._http = httpx.AsyncClient(
            base_url=api.base, headers={"authorization": f"Bearer {token}"}, timeout=20
        )
        self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        number = 0
        while True:
            number += 1
            entity = {"kind": "aircraft", "id": f"e{number % 20}", "lat": 46 + number % 100 / 100, "lon": 8.0}
            answer = await self._http.post("/v1/entities/bulk", json={"entities": [entity]})
            assert answer.status_code == 200, answer.text
            (result,) = answer.json()["results"]
            self.acknowledged[result["id"]] = result["version"]
            await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        """Let so many more changes be acknowledged."""
        wanted = sum(self.acknowledged.values()) + count
        while sum(self.acknowledged.values()) < wanted:
            assert not self._task.done(), self._task.exception()
            await asyncio.sleep(0.02)

    async def stop(self) -> dict[str, int]:
        """Finish; returns the version of each entity."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        # what was cut may have been committed: the truth is what the API says now
        for name in self.acknowledged:
            answer = await self._http.get(f"/v1/entities/{name}")
            assert answer.json()["version"] >= self.acknowledged[name]
            self.acknowledged[name] = answer.json()["version"]
        await self._http.aclose()
        return self.acknowledged


async def read_on(client: Client) -> None:
    """Take what comes, so that the client is no slow one."""
    with contextlib.suppress(TimeoutError):
        while True:
            await client.frame(0.05)


async def test_a_failover_loses_nothing(database: Database, issuer: Issuer, tmp_path: Path) -> None:
    """Roles swap while every connection stands (READONLY), then the new primary is killed: clients see all of it."""
    with Group(tmp_path / "group") as group:
        world = World(database, group.server, issuer, tmp_path)
        try:
            api = world.start("api")
            (gateway, processor), _ = await asyncio.gather(world.pair(), api.ready())
            client = await world.client(gateway)
            await client.look_at(*ALPS)
            writer = Writer(api, world.token("ann", scope="entities:read entities:write"))
            await writer.more(25)
            await group.nodes[1].in_step()

            group.swap(now=1, before=0)
            await writer.more(50)
            await read_on(client)
            await group.nodes[0].in_step()

            group.crash(now=0, before=1)
            await writer.more(50)
            await client.holds(await writer.stop(), seconds=40)
            assert len(client.has) == 20
            for process in (gateway, processor):
                events = [line["event"] for line in process.events()]
                assert "redis.demoted" in events
                assert events.count("subscriber.lost") >= 2
                assert process.process.poll() is None
                await process.ready()
            await api.ready()
        finally:
            await world.close()
