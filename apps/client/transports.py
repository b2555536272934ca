"""The two ways in over aiohttp: each runs as one task and tells the core what happens."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from apps.client.core import BROKEN
from apps.client.sse import CLOSE, COMMENT, EventParser, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.client.core import Core

#: Frames of ours that wait for a websocket; more, and it takes nothing any more: the connection is given up.
MAX_WAITING: Final = 256
_log: Final = logging.getLogger("slipway.client")


class _Socket:
    """What both have: a task, and one end."""

    def __init__(self, core: Core, session: aiohttp.ClientSession, url: str) -> None:
        self.core = core
        self.session = session
        self.url = url
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        code, reason = BROKEN, ""
        try:
            code, reason = await self.exchange()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.debug("%s: %s: %s", self.url, type(error).__name__, error)
        except Exception:  # noqa: BLE001  # what no server of ours says must not end the client
            _log.exception("%s", self.url)
        self.core.closed(self, code, reason)

    async def exchange(self) -> tuple[int, str]:
        """Connect and read until the end; returns how it ended."""
        raise NotImplementedError

    def send(self, text: str) -> None:
        """Send a frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Hang up."""
        if self.task is not asyncio.current_task():
            self.task.cancel()


class Websocket(_Socket):
    """`/ws`."""

    def __init__(self, core: Core, session: aiohttp.ClientSession, url: str) -> None:
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        super().__init__(core, session, url)

    async def exchange(self) -> tuple[int, str]:
        """Read frames until the close frame."""
        async with self.session.ws_connect(self.url, max_msg_size=0) as socket:
            writing = asyncio.create_task(self._write(socket))
            try:
                self.core.opened(self)
                while True:
                    message = await socket.receive()
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self.core.heard(self, message.data)
                    elif message.type is aiohttp.WSMsgType.CLOSE:
                        return int(message.data), str(message.extra or "")
                    elif message.type is not aiohttp.WSMsgType.BINARY:
                        return BROKEN, ""
            finally:
                writing.cancel()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_str(await self._waiting.get())

    def send(self, text: str) -> None:
        """Send a frame after those before it."""
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            asyncio.get_running_loop().call_soon(self.core.closed, self, BROKEN, "")


class Stream(_Socket):
    """`POST /events`."""

    def __init__(self, core: Core, session: aiohttp.ClientSession, url: str, frames: Sequence[str]) -> None:
        self._body = f"[{','.join(frames)}]"
        super().__init__(core, session, url)

    async def exchange(self) -> tuple[int, str]:
        """Read events until the one named close."""
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        async with self.session.post(self.url, data=self._body.encode(), headers=headers) as answer:
            kind = answer.headers.get("content-type", "")
            if answer.status != 200 or not kind.startswith("text/event-stream"):
                body = await answer.content.read(65_536)
                return refusal(answer.status, answer.headers, body)
            self.core.opened(self)
            parser = EventParser()
            async for chunk in answer.content.iter_any():
                for event in parser.feed(chunk):
                    if event.kind == CLOSE:
                        end: Any = json.loads(event.data)
                        return int(end["code"]), str(end["reason"])
                    self.core.heard(self, "" if event.kind == COMMENT else event.data)
        return BROKEN, ""

    def send(self, text: str) -> None:
        """Nothing can be said on a stream: the core opens another one."""
        raise NotImplementedError(text)
