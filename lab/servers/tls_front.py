"""The TLS front's process: takes TLS from clients, splices the bytes to a server's plain socket.

For PostgreSQL it speaks the SSLRequest exchange and refuses a client that wants no TLS, as RDS with forced
SSL does. Flow control runs both ways, so that a slow reader holds at most one buffer here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
MAX_STARTUP = 10_000
HANDSHAKE_SECONDS = 15.0
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Upstream:
    """The plain server: a socket's path, or host and port."""

    path: str | None = None
    host: str = ""
    port: int = 0

    async def connect(self, protocol: Pipe) -> None:
        """Raises OSError when the server is not there."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            await asyncio.wait_for(loop.create_unix_connection(lambda: protocol, self.path), CONNECT_SECONDS)
        else:
            await asyncio.wait_for(
                loop.create_connection(lambda: protocol, self.host, self.port), CONNECT_SECONDS
            )


class Pipe(asyncio.Protocol):
    """One end of a connection; what it receives it writes to its peer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Both kinds of transport are streams."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        """Straight through."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        """Our reader is slow: its peer stops reading."""
        if self.peer is not None and self.peer.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Our reader caught up."""
        if self.peer is not None and self.peer.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the loop's signature
        """One end gone ends the other, after what is buffered."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()


class Front(Pipe):
    """The client's end once TLS stands: connects to the server, then both ends splice."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.upstream = upstream
        self._waiting: list[bytes] | None = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the server's end; until it stands the client is not read further."""
        super().connection_made(transport)
        assert self.transport is not None  # noqa: S101
        with contextlib.suppress(RuntimeError):
            self.transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self.open())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def open(self) -> None:
        """Connect the other end, hand over what came early, read on."""
        other = Pipe()
        other.peer = self
        assert self.transport is not None  # noqa: S101
        try:
            await self.upstream.connect(other)
        except (OSError, TimeoutError):
            self.transport.close()
            return
        self.peer = other
        assert other.transport is not None  # noqa: S101
        if self.transport.is_closing():
            other.transport.close()
            return
        early, self._waiting = self._waiting or [], None
        for data in early:
            other.transport.write(data)
        with contextlib.suppress(RuntimeError):
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """A paused TLS transport may still deliver what it had decrypted."""
        if self._waiting is not None:
            self._waiting.append(data)
        else:
            super().data_received(data)


class PostgresGreeting(asyncio.Protocol):
    """The plain start of a PostgreSQL connection, up to its upgrade to TLS."""

    def __init__(self, upstream: Upstream, context: ssl.SSLContext) -> None:
        self.upstream = upstream
        self.context = context
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client that says nothing is let go after a while."""
        self.transport = cast("asyncio.Transport", transport)
        self.timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Collect one startup packet, then answer it."""
        self.buffer += data
        assert self.transport is not None  # noqa: S101
        while len(self.buffer) >= 8:
            length, code = struct.unpack("!II", self.buffer[:8])
            if not 8 <= length <= MAX_STARTUP:
                self.transport.abort()
                return
            if len(self.buffer) < length:
                return
            packet, self.buffer = self.buffer[:length], self.buffer[length:]
            if code == GSS_REQUEST:
                self.transport.write(b"N")
                continue
            self.answer(code, packet)
            return

    def answer(self, code: int, packet: bytes) -> None:
        """TLS goes on, a cancel request passes, anything else is refused."""
        assert self.transport is not None  # noqa: S101
        if code == SSL_REQUEST and not self.buffer:
            self.transport.pause_reading()
            self.transport.write(b"S")
            task = asyncio.get_running_loop().create_task(self.upgrade())
        elif code == CANCEL_REQUEST:
            task = asyncio.get_running_loop().create_task(self.cancel(packet))
        else:
            self.refuse()
            return
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def upgrade(self) -> None:
        """The same connection, now under TLS."""
        assert self.transport is not None  # noqa: S101
        front = Front(self.upstream)
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                self.transport, front, self.context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError):
            self.transport.abort()
            return
        if self.timer is not None:
            self.timer.cancel()  # nobody tells this protocol when the upgraded connection ends
        if upgraded is not None:
            front.connection_made(upgraded)

    async def cancel(self, packet: bytes) -> None:
        """A cancel request holds a secret of the server's own making and gets no answer."""
        other = Pipe()
        with contextlib.suppress(OSError, TimeoutError):
            await self.upstream.connect(other)
            assert other.transport is not None  # noqa: S101
            other.transport.write(packet)
            other.transport.close()
        assert self.transport is not None  # noqa: S101
        self.transport.close()

    def refuse(self) -> None:
        """What RDS with rds.force_ssl says."""
        fields = (b"SFATAL", b"VFATAL", b"C28000", b"Mno pg_hba.conf entry for this client: no encryption")
        body = b"".join(field + b"\0" for field in fields) + b"\0"
        assert self.transport is not None  # noqa: S101
        self.transport.write(b"E" + struct.pack("!I", len(body) + 4) + body)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Nothing stands yet to be closed."""
        if self.timer is not None:
            self.timer.cancel()


_tasks: set[asyncio.Task[None]] = set()


def listen(port: int) -> socket.socket:
    """The wanted port, else any free one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    return listener


async def serve(spec: dict[str, Any]) -> None:
    """Listen, say where, run until told to stop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(spec["certificate"])
    context.num_tickets = 0
    upstream = Upstream(spec["path"], spec["host"], spec["port"])
    loop = asyncio.get_running_loop()
    listener = listen(int(spec.get("listen", 0)))
    if spec["protocol"] == "postgres":
        server = await loop.create_server(
            lambda: PostgresGreeting(upstream, context), sock=listener, backlog=1024
        )
    else:
        server = await loop.create_server(
            lambda: Front(upstream),
            sock=listener,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            backlog=1024,
        )
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    announce = Path(spec["announce"])
    fresh = announce.with_name(announce.name + ".new")
    fresh.write_text(str(listener.getsockname()[1]), encoding="utf-8")
    fresh.replace(announce)
    async with server:
        await stopped.wait()


def main() -> None:
    """Read the one argument, a JSON object that `lab.servers.tls` writes."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    try:
        import uvloop  # noqa: PLC0415 — optional: faster TLS
    except ImportError:
        asyncio.run(serve(spec))
    else:
        uvloop.run(serve(spec))


if __name__ == "__main__":
    os.umask(0o077)
    main()
