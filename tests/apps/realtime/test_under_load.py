"""What fails while everybody writes and watches: nothing acknowledged is lost, and every map is soon true again.

One API, one gateway and one processor live through all of it; none of them may end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio

from apps.migrations.runner import migrate
from tests.apps.realtime.live import Process, World
from tests.apps.realtime.load import CONVERGE_SECONDS, under_load
from tests.apps.realtime.mortal import Mortal, mortal
from tests.servers import APP_PASSWORD, APP_USERNAME, Database

if TYPE_CHECKING:
    from lab.issuer import Issuer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("mortal")]


@dataclass
class Stack:
    """All that runs."""

    servers: Mortal
    world: World
    api: Process
    gateway: Process
    processor: Process

    def alive(self) -> bool:
        """Whether nothing ended."""
        return all(one.process.poll() is None for one in (self.api, self.gateway, self.processor))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> AsyncIterator[Stack]:
    """Servers, API, gateway and processor for the module."""
    async with mortal(tmp_path_factory.mktemp("mortal")) as servers:
        with psycopg.connect(servers.postgres.dsn(), autocommit=True) as connection:
            connection.execute('CREATE DATABASE "under_load"')
        database = Database(servers.postgres, "under_load")
        migrate({"conninfo": database.dsn}, app_username=APP_USERNAME, app_password=APP_PASSWORD)
        world = World(database, servers.redis, issuer, tmp_path_factory.mktemp("logs"))
        try:
            api, gateway, processor = await asyncio.gather(
                world.start("api", console_enabled="false").ready(),
                world.gateway(retry_milliseconds=500, drain_batch=2, drain_pause_milliseconds=50),
                world.processor(),
            )
            yield Stack(servers, world, api, gateway, processor)
        finally:
            await world.close()


async def test_redis_killed_and_started_again(stack: Stack):
    """Its streams, leases and registrations are gone with it; writes are acknowledged all the while."""
    async with under_load(stack.world, stack.api, [stack.gateway], "redis") as load:
        await stack.servers.kill("valkey")
        over = time.monotonic() + 4
        await load.flowing()
        await load.until(lambda: time.monotonic() > over, "over")
        await stack.servers.revive("valkey")
        await load.settled()
        assert stack.alive()
        # the sockets never closed
        assert all(one.closes == [] and len(one.welcomes) == 1 for one in load.followers)


async def test_redis_emptied(stack: Stack):
    """FLUSHALL three times in a row."""
    async with under_load(stack.world, stack.api, [stack.gateway], "flush") as load:
        for _ in range(3):
            stack.world.redis.flushall()
            await load.flowing(50)
        await load.settled()
        assert stack.alive()


async def test_postgresql_killed_and_started_again(stack: Stack):
    """Writes are refused meanwhile and none is acknowledged falsely; clients stay connected; then all goes on."""
    async with under_load(stack.world, stack.api, [stack.gateway], "postgres") as load:
        await stack.servers.kill("postgres")
        # long enough for a pool that backs off further and further to sleep through the return
        over = time.monotonic() + 8
        await load.until(lambda: time.monotonic() > over, "over")
        await stack.servers.revive("postgres")
        await load.flowing(50, seconds=CONVERGE_SECONDS)
        await load.settled()
        assert stack.alive()
        assert all(set(writer.answers) == {"200", "503"} for writer in load.writers), load.told()
        assert all(one.closes == [] for one in load.followers)


async def test_a_gateway_rolled(stack: Stack):
    """A second one takes over: each client is told 1012 and when to come back, and misses nothing."""
    gateways = [stack.gateway]
    async with under_load(stack.world, stack.api, gateways, "roll") as load:
        gateways.append(await stack.world.gateway())
        gateways.remove(stack.gateway)
        stack.gateway.process.send_signal(signal.SIGTERM)
        await load.until(lambda: all(len(one.welcomes) == 2 for one in load.followers), "back")
        await load.flowing(50)
        await load.settled()
        for one in load.followers:
            ((code, reason),) = one.closes
            assert code == 1012
            assert 100 <= json.loads(reason)["retry_ms"] <= 500
        assert await asyncio.to_thread(stack.gateway.process.wait, 20) == 0
