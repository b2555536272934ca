"""Carries an upgraded connection (a websocket) as bytes both ways, with backpressure; parses no frame."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

HEAD_LIMIT_BYTES = 64 * 1024
CONNECT_SECONDS = 5.0
WRITE_HIGH_WATER_BYTES = 256 * 1024  # above this the other side is not read from


class _Side(asyncio.Protocol):
    """One end; what it receives goes to the other end's transport."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.attach(transport)

    def attach(self, transport: asyncio.Transport) -> None:
        """Take a transport that is already connected."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            with contextlib.suppress(RuntimeError):  # it may be closing
                self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        other = self.other.transport if self.other is not None else None
        if other is not None and other.can_write_eof():
            with contextlib.suppress(RuntimeError, OSError):
                other.write_eof()
        return True  # half open: the other direction may still say goodbye

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # how it ended makes no difference: the other end is closed
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()
        self.transport = None
        self._ended()


class _Upstream(_Side):
    """The service's end: holds back until its answer's head is whole, then adds the front's headers."""

    def __init__(self, ended: Callable[[], None], extra: Iterable[tuple[str, str]]) -> None:
        super().__init__(ended)
        self._head = bytearray()
        self._answered = False
        self._extra = "".join(f"{name}: {value}\r\n" for name, value in extra).encode("latin-1")

    def data_received(self, data: bytes) -> None:
        if self._answered:
            super().data_received(data)
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > HEAD_LIMIT_BYTES and self.transport is not None:
                self.transport.abort()
            return
        self._answered = True
        whole = bytes(self._head)
        self._head.clear()
        super().data_received(whole[: end + 2] + self._extra + whole[end + 2 :])


class Tunnel:
    """Both ends of one upgraded connection."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._client: _Side | None = None
        self._upstream: _Upstream | None = None

    async def open(
        self, client: asyncio.Transport, port: int, head: bytes, extra: Iterable[tuple[str, str]]
    ) -> None:
        """Connect to the service, send the head, let the bytes flow; OSError when it is away."""
        loop = asyncio.get_running_loop()
        upstream = _Upstream(self._end, extra)
        side = _Side(self._end)
        upstream.other, side.other = side, upstream
        async with asyncio.timeout(CONNECT_SECONDS):
            await loop.create_connection(lambda: upstream, "127.0.0.1", port)
        if client.is_closing() or upstream.transport is None:
            if upstream.transport is not None:
                upstream.transport.close()
            raise ConnectionResetError("the client has gone")
        self._client, self._upstream = side, upstream
        side.attach(client)
        client.set_protocol(side)
        if not client.is_reading():
            client.resume_reading()
        upstream.transport.write(head)

    def close(self) -> None:
        """Both ends, now."""
        for side in (self._client, self._upstream):
            if side is not None and side.transport is not None:
                side.transport.close()

    def _end(self) -> None:
        if all(side is None or side.transport is None for side in (self._client, self._upstream)):
            self.closed.set()
