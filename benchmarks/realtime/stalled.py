"""One client stops reading, another goes on: what the server keeps for the one, what the other loses."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any, Final

from apps.contracts import bus
from apps.contracts.bus import Delivery, Item
from benchmarks.realtime.candidates import hello, viewport
from benchmarks.realtime.processor import NAME

if TYPE_CHECKING:
    from benchmarks.realtime.candidates import Server
    from benchmarks.realtime.processor import Processor
    from benchmarks.realtime.world import World

_BODY: Final = 1024
_AT_ONCE: Final = 100


class Reader:
    """A client by hand: whether it reads is ours to say, and its window is small."""

    def __init__(self, port: int, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self._kept = b""
        self.received = 0

    async def greet(self, frames: list[str], ready: bytes, after: bytes = b"") -> None:
        """Upgrade, say the frames, wait for the last answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            self.socket,
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        await self._until(b"\r\n\r\n")
        for frame, wait in zip(frames, (after, ready)[-len(frames) :], strict=True):
            data = frame.encode()
            head = (
                bytes((0x81, 0xFE, len(data) >> 8, len(data) & 255))
                if len(data) > 125
                else bytes((0x81, 0x80 | len(data)))
            )
            await loop.sock_sendall(self.socket, head + b"\0\0\0\0" + data)
            await self._until(wait)

    async def _until(self, wanted: bytes) -> None:
        loop = asyncio.get_running_loop()
        seen = b""
        async with asyncio.timeout(10):
            while wanted not in seen:
                seen += await loop.sock_recv(self.socket, 65536)

    async def count(self, mark: bytes) -> None:
        """Read for ever, counting `mark`."""
        loop = asyncio.get_running_loop()
        kept = b""
        while data := await loop.sock_recv(self.socket, 1 << 18):
            kept += data
            self.received += kept.count(mark)
            kept = kept[-(len(mark) - 1) :]


async def stalled(world: World, server: Server, processor: Processor, messages: int) -> dict[str, Any]:
    """Send `messages` of 1 KB to the client that does not read, a hundredth as many to the other."""
    frames = hello(server, world, 2)
    slow, healthy = Reader(server.port, 4096), Reader(server.port)
    for number, client in enumerate((slow, healthy)):
        if server.speaks_ours:
            await client.greet([frames[number], viewport(number)], b'"type":"snapshot"', b'"type":"welcome"')
        else:
            await client.greet([frames[number]], b'"ready"')
    mark = b'"healthy":true'
    counting = asyncio.create_task(healthy.count(mark))
    before = peak = server.memory_kb()
    for number in range(messages // _AT_ONCE):
        await _publish(world, server, processor, number)
        peak = max(peak, server.memory_kb())
    wanted = messages // _AT_ONCE
    async with asyncio.timeout(10):
        while healthy.received < wanted and not counting.done():  # noqa: ASYNC110  # counts what arrives
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    counting.cancel()
    for client in (slow, healthy):
        client.socket.close()
    return {
        "peak_mb": (peak - before) / 1024,
        "kept_mb": (server.memory_kb() - before) / 1024,
        "healthy_sent": wanted,
        "healthy_lost": wanted - healthy.received,
    }


async def _publish(world: World, server: Server, processor: Processor, number: int) -> None:
    pipeline: Any = world.redis.pipeline(transaction=False)
    bodies = [_body(f"e{number * _AT_ONCE + n}", n == _AT_ONCE) for n in range(_AT_ONCE + 1)]
    if server.speaks_ours:
        slots = [bus.pack_slots([processor.slots[f"user-{user}"]]) for user in (0, 1)]
        items = [
            Item(
                f"e{number * _AT_ONCE + n}",
                1 if n < _AT_ONCE else number + 1,
                False,
                body,
                slots[n == _AT_ONCE],
            )
            for n, body in enumerate(bodies)
        ]
        pipeline.publish(bus.gateway_channel(processor.gateway), bus.encode(Delivery(NAME, 0, items)))
    else:
        for n, body in enumerate(bodies):
            pipeline.publish(f"user:{int(n == _AT_ONCE)}", body)
    await pipeline.execute()


def _body(entity: str, healthy: bool) -> bytes:
    what: dict[str, Any] = {"id": entity, "healthy": healthy, "pad": "x" * (_BODY - 100)}
    return json.dumps({"op": "upsert", "entity": what}, separators=(",", ":")).encode()
