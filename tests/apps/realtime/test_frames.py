"""What a client may do to its own connection with bytes; everybody else's goes on, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.apps.realtime.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, frame

if TYPE_CHECKING:
    from tests.apps.realtime.live import Process, World

ALPS = (5.0, 45.0, 11.0, 48.0)
HELLO = frame(TEXT, b'{"v":1,"type":"ping"}')


async def identified(world: World, gateway: Process) -> Raw:
    """A client that is in."""
    raw = await Raw.open(gateway)
    raw.say(type="identify", token=world.token())
    await raw.until("welcome")
    return raw


async def eventually(check: Callable[[], Any], what: str, seconds: float = 15) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


async def test_frames_that_break_the_protocol_end_their_own_connection(world: World):
    """Whatever RFC 6455 forbids is refused with a close frame and the end of the connection, at once; others go on."""
    gateway = await world.gateway()
    bystander = await world.client(gateway)
    before = gateway.sockets
    # the websocket library names a code only for a bad close code; an empty close frame is as right (RFC 6455, 7.1.7)
    for name, sent, code in (
        ("a continuation of nothing", frame(CONTINUATION, b"x"), 1005),
        ("a new message inside another", frame(TEXT, b"{", fin=False) + HELLO, 1005),
        ("a reserved bit", frame(TEXT, b"{}", reserved=4), 1005),
        ("a reserved opcode", frame(3, b"{}"), 1005),
        ("a reserved control opcode", frame(0xB), 1005),
        ("no mask", frame(TEXT, b"{}", masked=False), 1005),
        ("a ping of 126 bytes", frame(PING, b"x" * 126), 1005),
        ("a fragmented ping", frame(PING, b"x", fin=False), 1005),
        ("text that is no UTF-8", frame(TEXT, b"\xff\xff"), 1005),
        ("a length of 1 TiB", frame(TEXT, b"x", said=2**40), 1005),
        ("a length above 63 bits", frame(TEXT, b"x", said=2**63), 1005),
        ("half a close code", frame(CLOSE, b"x"), 1005),
        ("a close code that is none", frame(CLOSE, struct.pack("!H", 1005)), 1002),
        ("a close", frame(CLOSE, struct.pack("!H", 1000)), 1000),
        ("binary", frame(BINARY, b"x"), 4400),
        ("binary in fragments", frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"y"), 4400),
        ("no JSON in fragments", frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"]"), 4400),
        ("an empty text", frame(TEXT), 4400),
        ("deep nesting", frame(TEXT, b"[" * 60_000), 4400),
        ("too much text", frame(TEXT, b" " * 70_000), 4413),
        (
            "too much text in fragments",
            frame(TEXT, b" " * 9000, fin=False)
            + frame(CONTINUATION, b" " * 9000, fin=False) * 6
            + frame(0, b" " * 9000),
            4413,
        ),
    ):
        raw = await identified(world, gateway)
        raw.send(sent)
        assert (await raw.closed())[0] == code, name
        await raw.dropped()
        raw.end()
    await eventually(lambda: gateway.sockets <= before, "a socket stayed open")
    await bystander.send(type="ping")
    await bystander.until("pong")


async def test_a_fragmented_frame_is_one_frame(world: World):
    """Fragments, also empty ones, with pings between them are put together; pings are answered with their payload."""
    gateway = await world.gateway()
    raw = await Raw.open(gateway)
    text = json.dumps({"v": 1, "type": "identify", "token": world.token()}).encode()
    raw.send(frame(TEXT, b"", fin=False), frame(CONTINUATION, text[:7], fin=False), frame(PING, b"one"))
    assert await raw.read() == (PONG, b"one")
    raw.send(frame(CONTINUATION, text[7:], fin=False), frame(PONG, b"unasked"), frame(CONTINUATION))
    await raw.until("welcome")
    for byte in HELLO:
        raw.send(bytes([byte]))
        await asyncio.sleep(0)
    await raw.until("pong")
    raw.end()


async def test_half_a_frame_and_silence(world: World):
    """Nothing, half a header, half a frame, half a message: closed in time, identified or not, and wholly gone."""
    gateway = await world.gateway(identify_seconds=1.5, ping_interval_seconds=1)
    before = gateway.sockets
    halves = (b"", HELLO[:1], HELLO[:5], frame(TEXT, b'{"v"', fin=False), frame(PING, b"x" * 9)[:4])
    strangers = [await Raw.open(gateway) for _ in halves]
    friends = [await identified(world, gateway) for _ in halves]
    for raws in (strangers, friends):
        for raw, half in zip(raws, halves, strict=True):
            raw.send(half)
    ends = await asyncio.gather(*(raw.closed() for raw in (*strangers, *friends)))
    assert ends[: len(halves)] == [(4408, '{"code":"identify.timeout"}')] * len(halves)
    assert ends[len(halves) :] == [(4408, '{"code":"heartbeat.missed"}')] * len(halves)
    # their side of the connections is open still: the server must not wait for it
    await asyncio.gather(*(raw.dropped() for raw in (*strangers, *friends)))
    await eventually(lambda: gateway.sockets <= before, "a socket stayed open")
    for raw in (*strangers, *friends):
        raw.end()


async def test_a_message_without_end_is_bounded_in_size_and_time(world: World):
    """Granian's websocket library takes 64 MiB of a message before the gateway sees it: until the deadline, no more."""
    gateway = await world.gateway(identify_seconds=6)
    idle = gateway.rss
    raw = await Raw.open(gateway)
    part = frame(CONTINUATION, b"x" * 2**20, fin=False)
    raw.send(frame(TEXT, b"x", fin=False))
    for _ in range(60):
        raw.send(part)
        await raw.writer.drain()
    await eventually(lambda: gateway.rss > idle + 40, "what was sent is not there")
    assert gateway.rss < idle + 160
    assert (await raw.closed())[0] == 4408
    await eventually(lambda: gateway.rss < idle + 20, "memory stayed")
    greedy = await Raw.open(gateway)
    greedy.send(frame(TEXT, b"x", fin=False))
    refused = asyncio.ensure_future(greedy.dropped())
    for _ in range(70):
        greedy.send(part)
        await asyncio.sleep(0.005)
    await asyncio.wait_for(refused, 5)  # sooner than the deadline
    for one in (raw, greedy):
        one.end()


async def test_a_client_that_never_reads_costs_a_bounded_amount(world: World):
    """Megabytes for it and it takes none: memory stays, its socket goes although its own end is open, others get all."""
    gateway, _ = await world.pair(
        stall_seconds=2, write_timeout_seconds=4, max_pending_bytes=50_000, resync_seconds=0.2
    )
    healthy = await world.client(gateway)
    await healthy.look_at(*ALPS)
    before = gateway.sockets
    stalled = await identified(world, gateway)
    stalled.writer.transport.pause_reading()
    west, south, east, north = ALPS
    stalled.say(type="viewport", west=west, south=south, east=east, north=north, zoom=5)
    idle = gateway.rss
    text = "x" * 4000
    turn = 0
    # its own end stays open all the time
    while gateway.sockets > before:
        turn += 1
        assert turn < 200, "the socket of a client that never reads stayed"
        for n in range(30):
            world.write(f"e{n}", 46.0, 8.0 + turn / 1000, attributes={"text": text})
        await healthy.holds({f"e{n}": turn for n in range(30)})
        healthy.frames.clear()
        healthy.applied.clear()
    assert gateway.rss < idle + 30
    stalled.end()
