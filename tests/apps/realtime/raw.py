"""A websocket as bytes: what no well-behaved client library would send, and exactly what the server answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.apps.realtime.live import Process

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    said: int | None = None,
) -> bytes:
    """A client's frame; `said` is the length it claims instead of its own."""
    size = len(payload) if said is None else said
    mask = os.urandom(4) if masked else b""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    flag = 0x80 if masked else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += struct.pack("!BH", flag | 126, size)
    else:
        head += struct.pack("!BQ", flag | 127, size)
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)) if masked else payload
    return head + mask + body


class Raw:
    """An open websocket without a library's manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.texts: list[dict[str, Any]] = []

    @classmethod
    async def open(cls, gateway: Process) -> Raw:
        """Connect and shake hands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
        assert b" 101 " in head.split(b"\r\n")[0], head
        return cls(reader, writer)

    def send(self, *frames: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(frames))

    def say(self, **content: Any) -> None:
        """Write a proper text frame."""
        self.send(frame(TEXT, json.dumps({"v": 1, **content}).encode()))

    async def read(self, seconds: float = 15) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        async with asyncio.timeout(seconds):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "servers here neither fragment nor set reserved bits"
            size = second & 0x7F
            assert not second & 0x80, "a server does not mask"
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
        if first & 0xF == TEXT:
            self.texts.append(json.loads(payload))
        return first & 0xF, payload

    async def until(self, kind: str) -> dict[str, Any]:
        """The next text frame of a type."""
        while True:
            opcode, _ = await self.read()
            if opcode == TEXT and self.texts[-1]["type"] == kind:
                return self.texts[-1]

    async def closed(self, seconds: float = 15) -> tuple[int, str]:
        """Read to the close frame; its code (1005, as the RFC has it, where there is none) and reason."""
        async with asyncio.timeout(seconds):
            while True:
                opcode, payload = await self.read(seconds)
                if opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    return code, payload[2:].decode()

    async def dropped(self, seconds: float = 15) -> None:
        """Wait until the server ended the connection itself."""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass

    def end(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()
