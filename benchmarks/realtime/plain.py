"""The plain way: a Litestar handler that takes from a queue and awaits each send; one Redis subscriber.

`python -m benchmarks.realtime.plain PORT REDIS_PORT PASSWORD`
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import hiredis
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar, WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_MAX_WAITING: Final = 256


class Queue:
    """What one handler still has to send; the newest are left out when it is full."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._wake = asyncio.Event()

    def put(self, message: str) -> None:
        """Add, unless there are too many."""
        if len(self._messages) < _MAX_WAITING:
            self._messages.append(message)
            self._wake.set()

    async def get(self) -> str:
        """Wait for the next one."""
        while not self._messages:
            self._wake.clear()
            await self._wake.wait()
        return self._messages.popleft()


class Channels(asyncio.Protocol):
    """One multiplexed subscriber."""

    def __init__(self, password: str) -> None:
        self.queues: dict[bytes, Queue] = {}
        self._password = password
        self._reader = hiredis.Reader()
        self._transport: Any = None
        self._waiting: dict[bytes, asyncio.Future[None]] = {}

    def connection_made(self, transport: Any) -> None:
        """Authenticate."""
        self._transport = transport
        self._transport.write(f"AUTH {self._password}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Hand each message to its queue."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if not isinstance(reply, list):
                continue
            if reply[0] == b"message":
                queue = self.queues.get(reply[1])
                if queue is not None:
                    queue.put(reply[2].decode())
            elif reply[0] == b"subscribe":
                self._waiting.pop(reply[1]).set_result(None)

    async def subscribe(self, channel: bytes, queue: Queue) -> None:
        """Subscribe and wait for the answer."""
        self.queues[channel] = queue
        future = self._waiting[channel] = asyncio.get_running_loop().create_future()
        self._transport.write(b"*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(channel), channel))
        await future

    def unsubscribe(self, channel: bytes) -> None:
        """Leave."""
        self.queues.pop(channel, None)
        self._transport.write(b"*2\r\n$11\r\nUNSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(channel), channel))


def build(redis_port: int, password: str) -> Litestar:
    """Return the app."""
    channels = Channels(password)

    @asynccontextmanager
    async def connected(_app: Litestar) -> AsyncGenerator[None]:
        await asyncio.get_running_loop().create_connection(lambda: channels, "127.0.0.1", redis_port)
        yield

    @websocket("/ws")
    async def serve(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        channel = b""
        sender: asyncio.Task[None] | None = None
        queue = Queue()

        async def send() -> None:
            while True:
                await socket.send_text(await queue.get())

        try:
            while True:
                frame = await socket.receive_json()
                if frame["type"] == "identify":
                    channel = b"user:%s" % frame["userId"].encode()
                    await channels.subscribe(channel, queue)
                    await socket.send_text('{"type":"ready"}')
                    sender = asyncio.create_task(send())
        except WebSocketDisconnect:
            pass
        finally:
            if sender is not None:
                sender.cancel()
            if channel:
                channels.unsubscribe(channel)

    return Litestar([serve], lifespan=[connected], openapi_config=None, logging_config=None)


def server(app: Any, port: int) -> Server:
    """Granian as `apps.platform.serve` sets it up."""
    return Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        backlog=1024,
        log_enabled=False,
        log_access=False,
    )


if __name__ == "__main__":
    uvloop.run(server(build(int(sys.argv[2]), sys.argv[3]), int(sys.argv[1])).serve())
