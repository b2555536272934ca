"""Granian and nothing else: what a websocket costs before any of our code (`python -m ... PORT`)."""

from __future__ import annotations

import sys
from typing import Any

import uvloop

from benchmarks.realtime.plain import server


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Accept, answer the first frame, wait for the end."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.send", "text": '{"type":"ready"}'})
    while (await receive())["type"] != "websocket.disconnect":
        pass


if __name__ == "__main__":
    uvloop.run(server(app, int(sys.argv[1])).serve())
