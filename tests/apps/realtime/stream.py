"""A reader of `POST /events` for the tests: one exchange, its events merged as the websocket client's frames are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.apps.realtime.live import PATIENCE, Client, Process


class Stream(Client):
    """An event stream behind the face of the websocket client."""

    def __init__(self, session: aiohttp.ClientSession, answer: aiohttp.ClientResponse) -> None:
        super().__init__(None)
        self.http = session
        self.answer = answer
        self.ids: list[str] = []
        self.comments = 0
        self.end: dict[str, Any] | None = None

    @classmethod
    async def open(cls, gateway: Process, *frames: dict[str, Any], data: Any = None) -> Stream:
        """Send the frames; the answer's head is here, its events are not read yet."""
        session = aiohttp.ClientSession()
        body = json.dumps([{"v": 1, **frame} for frame in frames]) if data is None else data
        answer = await session.post(f"{gateway.base}/events", data=body)
        return cls(session, answer)

    async def problem(self) -> dict[str, Any]:
        """The body of a refusal."""
        assert self.answer.content_type == "application/problem+json", await self.answer.text()
        return await self.answer.json(content_type=None)

    async def _event(self) -> tuple[str, str, str]:
        kind = data = position = ""
        while line := (await self.answer.content.readuntil(b"\n")).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            if not name:
                self.comments += 1
            kind = value if name == "event" else kind
            data = value if name == "data" else data
            position = value if name == "id" else position
        return kind, data, position

    async def heartbeat(self, seconds: float = PATIENCE) -> None:
        """Wait for the next event, which is a comment."""
        async with asyncio.timeout(seconds):
            assert await self._event() == ("", "", "")

    async def frame(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame, merged; the close is a frame of type `closed` here."""
        kind, data = "", ""
        async with asyncio.timeout(seconds):
            while not data:
                kind, data, position = await self._event()
        if kind == "close":
            self.end = json.loads(data)
            assert await self.answer.content.read() == b"", "something follows the close"
            return {"type": "closed"}
        frame: dict[str, Any] = json.loads(data)
        if "epoch" in frame:
            assert position == f"{frame['epoch']}/{frame['seq']}"
            self.ids.append(position)
        self.frames.append(frame)
        self._merge(frame)
        return frame

    async def ended(self, seconds: float = PATIENCE) -> tuple[int, dict[str, Any]]:
        """Read on until the server's close."""
        await self.until("closed", seconds)
        assert self.end is not None
        return self.end["code"], json.loads(self.end["reason"])

    async def leave(self) -> None:
        """Hang up."""
        self.answer.close()
        await self.http.close()
