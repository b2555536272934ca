"""A process for the tests of `serve`: behaves as BEHAVIOUR says."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar, get

from apps.platform.health import Health, routes
from apps.platform.serve import Application, run
from apps.platform.settings import ServiceSettings
from apps.platform.telemetry import TelemetryMiddleware, current

BEHAVIOUR = os.environ.get("BEHAVIOUR", "")


class Work:
    """A background service that crashes on demand."""

    name = "work"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped, or crash."""
        if BEHAVIOUR == "crash":
            await asyncio.sleep(0.3)
            raise RuntimeError("boom")
        await stop.wait()


@get("/slow")
async def slow() -> dict[str, str]:
    """Answer after a second, with the correlation id before and after."""
    before = current()
    await asyncio.sleep(1)
    after = current()
    assert before is not None
    assert after is not None
    return {"before": before.correlation_id, "after": after.correlation_id}


@asynccontextmanager
async def build(settings: ServiceSettings, health: Health) -> AsyncGenerator[Application]:
    """Wire it."""
    del settings
    if BEHAVIOUR == "unbuildable":
        raise RuntimeError("no parts")

    async def hook() -> None:
        if BEHAVIOUR == "stuck":
            await asyncio.sleep(60)
        if BEHAVIOUR == "blocked":
            time.sleep(60)  # noqa: ASYNC251  # a blocked loop is what this shows
        if BEHAVIOUR == "failing-hook":
            raise RuntimeError("hook failed")
        await asyncio.sleep(0.4)

    app = Litestar([*routes(health), slow], logging_config=None, openapi_config=None)
    yield Application(TelemetryMiddleware(app), services=[Work()], drain=[hook])
    print("closed", flush=True)


if __name__ == "__main__":
    sys.exit(run(build, ServiceSettings))
