"""Echoes every message on the gateway's own stack (PID 1 entry, Granian, Litestar, raw socket): for conformance suites."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, WebSocket, websocket

from apps.platform.health import Health, routes
from apps.platform.serve import Application, run
from apps.platform.settings import ServiceSettings
from apps.realtime.raw import RawChannels, raw


@websocket("/")
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    """Send back what comes, text as text and binary as binary."""
    await socket.accept()
    receive, send = raw(socket.scope)
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        content = {"text": text} if text is not None else {"bytes": message["bytes"]}
        await send({"type": "websocket.send", **content})


@asynccontextmanager
async def build(settings: ServiceSettings, health: Health) -> AsyncGenerator[Application]:
    """Wire it as the gateway is wired."""
    del settings
    yield Application(
        RawChannels(Litestar([echo, *routes(health)], logging_config=None, openapi_config=None))
    )


if __name__ == "__main__":
    sys.exit(run(build, ServiceSettings))
