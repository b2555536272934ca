"""All servers of a stack at once: started side by side, stopped in order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self, TypeVar

from lab.servers import tls
from lab.servers.emulator import DEFAULT_ACCOUNT, Emulator
from lab.servers.postgres import EmbeddedPostgres
from lab.servers.process import reap
from lab.servers.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from lab.servers.endpoints import AwsEndpoint, PostgresServer, RedisServer
    from lab.servers.process import Kept
    from lab.servers.state import State

Endpoint = TypeVar("Endpoint")


class Servers:
    """`async with Servers(state) as servers:` — `state` is open already, so that this run alone holds it."""

    postgres: PostgresServer
    redis: RedisServer
    aws: AwsEndpoint

    def __init__(
        self,
        state: State,
        *,
        account_id: str = DEFAULT_ACCOUNT,
        region: str = "eu-central-1",
        durable: bool = True,
        report: Callable[[str, float], None] | None = None,
    ) -> None:
        self.state = state
        self.seconds: dict[str, float] = {}
        self._report = report
        self._postgres = EmbeddedPostgres(state, durable=durable)
        self._valkey = EmbeddedValkey(state, durable=durable)
        self._emulator = Emulator(state, account_id=account_id, region=region, durable=durable, record=True)

    async def start(self) -> Self:
        """Reap what an earlier run left, then start all three; one that fails stops the others."""
        await asyncio.to_thread(reap, self.state)
        tls.authority(self.state)
        tasks = (
            asyncio.ensure_future(self._timed("postgres", self._postgres.start())),
            asyncio.ensure_future(self._timed("valkey", self._valkey.start())),
            asyncio.ensure_future(self._timed("emulator", self._emulator.start())),
        )
        try:
            self.postgres, self.redis, self.aws = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                # one that was told already is stopping its server: a second time would cut that short
                if not task.cancelling():
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.stop()
            raise
        return self

    async def _timed(self, name: str, start: Awaitable[Endpoint]) -> Endpoint:
        began = time.monotonic()
        endpoint = await start
        self.seconds[name] = time.monotonic() - began
        if self._report is not None:
            self._report(name, self.seconds[name])
        return endpoint

    def ended(self) -> dict[str, Kept]:
        """Those that have ended without being asked to; `revive` starts one again."""
        all_ = {"postgres": self._postgres, "valkey": self._valkey, "emulator": self._emulator}
        return {name: kept for name, server in all_.items() if (kept := server.ended()) is not None}

    async def stop(self) -> None:
        """All three at once: none of them needs another."""
        await asyncio.gather(self._postgres.stop(), self._valkey.stop(), self._emulator.stop())

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
