"""PostgreSQL and Valkey of a module's own, which may be killed and started again at their addresses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.servers import EmbeddedPostgres, EmbeddedValkey, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lab.servers import PostgresServer, RedisServer


class Mortal:
    """PostgreSQL keeps what it acknowledged; Valkey comes back with nothing."""

    postgres: PostgresServer
    redis: RedisServer

    def __init__(self, home: Path) -> None:
        self.state = State(home)
        self._servers = {
            "postgres": EmbeddedPostgres(self.state, durable=True),
            "valkey": EmbeddedValkey(self.state, durable=False),
        }

    async def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        child = json.loads((self.state.run / f"{name}.json").read_text())["child"]
        os.kill(child, signal.SIGKILL)
        end = time.monotonic() + 20
        while self._servers[name].ended() is None:
            assert time.monotonic() < end, f"{name} did not end"
            await asyncio.sleep(0.02)

    async def revive(self, name: str) -> None:
        """Start it again."""
        ended = self._servers[name].ended()
        assert ended is not None
        await ended.revive()


@asynccontextmanager
async def mortal(home: Path) -> AsyncIterator[Mortal]:
    """Both servers inside the block."""
    made = Mortal(home)
    with made.state:
        postgres, valkey = made._servers["postgres"], made._servers["valkey"]
        assert isinstance(postgres, EmbeddedPostgres)
        assert isinstance(valkey, EmbeddedValkey)
        try:
            made.postgres, made.redis = await asyncio.gather(postgres.start(), valkey.start())
            yield made
        finally:
            await asyncio.gather(postgres.stop(), valkey.stop())
