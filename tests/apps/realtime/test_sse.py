"""The event stream against a real gateway: the same session as a websocket's, over one POST."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from tests.apps.realtime.stream import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.apps.realtime.live import Process, World

    Opener = Callable[..., Awaitable[Stream]]

ALPS = {"type": "viewport", "west": 5, "south": 45, "east": 11, "north": 48, "zoom": 5}
WIDER = {**ALPS, "north": 60}


@pytest_asyncio.fixture
async def events(world: World) -> AsyncIterator[Opener]:
    """Opens streams; what is open at the end is closed."""
    opened: list[Stream] = []

    async def opener(gateway: Process, *frames: dict[str, Any], **more: Any) -> Stream:
        stream = await Stream.open(gateway, *frames, **more)
        opened.append(stream)
        return stream

    yield opener
    for one in opened:
        await one.leave()


def held(port: int, peer: int) -> bool:
    """Whether the kernel still holds the server's end of a connection."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        line[1].endswith(f":{port:04X}") and line[2].endswith(f":{peer:04X}") and line[3] == "01"
        for line in lines
    )


def identify(world: World, last: Stream | None = None, **more: Any) -> dict[str, Any]:
    """The first frame; with the position of a former stream it asks for a resume."""
    position = {} if last is None else {"session": last.session, "epoch": last.epoch, "since": last.seq}
    return {"type": "identify", "token": world.token(**more), **position}


async def test_a_stream_shows_resumes_and_moves_as_a_websocket_does(world: World, events: Opener):
    """Snapshot, then deltas; a resume brings what was missed without a snapshot, and a moved view brings one."""
    world.write("a", 46.0, 8.0)
    gateway, _ = await world.pair()
    first = await events(gateway, identify(world), ALPS)
    assert first.answer.headers["content-type"] == "text/event-stream"
    assert first.answer.headers["cache-control"] == "no-store, no-transform"
    assert (await first.frame())["recovered"] is False
    assert [one["id"] for one in (await first.until("snapshot"))["entities"]] == ["a"]
    world.write("a", 46.1, 8.0)
    await first.holds({"a": 2})
    await first.leave()
    world.write("b", 46.0, 8.0)
    await asyncio.sleep(0.3)
    second = await events(gateway, identify(world, first), ALPS)
    second.has = dict(first.has)
    welcome = await second.frame()
    assert (welcome["recovered"], welcome["session"]) == (True, first.session)
    await second.holds({"a": 2, "b": 1})
    world.write("far", 55.0, 8.0)
    await second.quiet()
    assert [frame["type"] for frame in second.frames] == ["welcome", "delta"]
    # another view is another exchange, also while the former one is still open
    third = await events(gateway, identify(world, second), WIDER)
    assert (await third.frame())["recovered"] is True
    await third.until("snapshot")
    assert sorted(third.has) == ["a", "b", "far"]
    assert (await second.ended())[1] == {"code": "session.taken_over"}
    world.write("far", 56.0, 8.0)
    await third.holds({"a": 2, "b": 1, "far": 2})


async def test_a_refusal_before_the_stream_is_a_problem_with_its_status(world: World, events: Opener):
    """Malformed, invalid, oversized, unidentified, expired, scopeless, too many frames: each has its own status."""
    gateway = await world.gateway(max_message_bytes=4096, message_burst=10, messages_per_second=1)
    good = identify(world)
    for frames, data, status, code in (
        ((), "{not json", 400, "body.malformed"),
        ((), '{"v":1,"type":"ping"}', 400, "body.malformed"),
        ((), b"\xff\xfe", 400, "body.malformed"),
        ((), "", 400, "body.malformed"),
        ((), "[]", 401, "identify.first"),
        ((ALPS,), None, 401, "identify.first"),
        (({"type": "identify", "token": "x"},), None, 401, "token.malformed"),
        ((identify(world, ttl=-100),), None, 401, "token.expired"),
        ((identify(world, scope="filters:read"),), None, 403, "scope.missing"),
        ((good, {"type": "dance"}), None, 422, "frame.invalid"),
        ((good, good), None, 400, "identify.again"),
        ((), " " * 5000, 413, "body.too_large"),
        ((good, *[{"type": "ping"}] * 20), None, 429, "rate.exceeded"),
    ):
        stream = await events(gateway, *frames, data=data)
        problem = await stream.problem()
        assert (stream.answer.status, problem["code"]) == (status, code), problem
        assert problem["status"] == status
        assert problem["correlation_id"] == stream.answer.headers["x-correlation-id"]
    await asyncio.sleep(0.2)  # ticks, in which the hub finds the refused ones
    assert await asyncio.to_thread(gateway.status, "/ready") == 200
    async with (await events(gateway, good)).http.get(f"{gateway.base}/events") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_a_body_that_does_not_come_is_ended_and_full_is_said(world: World, events: Opener):
    """Who sends half a request holds a place only as long as one may take to identify; beyond the bound is 503."""
    gateway = await world.gateway(identify_seconds=1.5, max_connections=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[")
    await asyncio.sleep(0.3)
    full = await events(gateway, identify(world))
    assert (full.answer.status, (await full.problem())["code"]) == (503, "gateway.full")
    exact = int(full.answer.headers["retry-after-ms"])
    assert 100 <= exact <= 5000
    assert int(full.answer.headers["retry-after"]) == -(-exact // 1000)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 15)
    assert b" 408 " in head
    writer.close()
    stream = await events(gateway, identify(world))
    assert (await stream.frame())["type"] == "welcome"


async def test_a_stream_ends_with_a_reason(world: World, events: Opener):
    """A token that expires and a drain are told as the last event; heartbeats are comments and need no answer."""
    gateway = await world.gateway(ping_interval_seconds=0.5)
    lasting = await events(gateway, identify(world))
    short = await events(gateway, identify(world, ttl=3))
    assert await short.ended() == (4401, {"code": "token.expired"})
    await lasting.frame()
    while lasting.comments < 4:  # a websocket that left so many unanswered would be closed by now
        await lasting.heartbeat()
    gateway.process.send_signal(signal.SIGTERM)
    code, reason = await lasting.ended()
    assert code == 1012
    assert 100 <= reason["retry_ms"] <= 5000
    assert await asyncio.to_thread(gateway.process.wait, 20) == 0


async def test_a_reader_that_stalls_is_ended_and_harms_nobody(world: World, events: Opener):
    """Who never reads is closed at last, as a websocket is; the others get all of theirs."""
    gateway, _ = await world.pair(stall_seconds=2, write_timeout_seconds=4, max_pending_bytes=1_000_000)
    healthy = await events(gateway, identify(world), ALPS)
    await healthy.until("snapshot")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    slow.connect(("127.0.0.1", gateway.port))
    body = json.dumps([{"v": 1, **frame} for frame in (identify(world, user="eve"), ALPS)]).encode()
    slow.sendall(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    text = "x" * 10_000
    for turn in range(1, 9):
        for n in range(50):
            world.write(f"e{n}", 46.0, 8.0 + turn / 1000, attributes={"text": text})
        await healthy.holds({f"e{n}": turn for n in range(50)})
    end = time.monotonic() + 20
    while not [line for line in gateway.events() if line["event"] == "client.stalled"]:
        assert time.monotonic() < end, "the stalled reader was not closed"
        for n in range(50):
            world.write(f"e{n}", 46.0, 9.0, attributes={"text": text})
        await asyncio.sleep(0.1)
    # half an event stands in its buffers and it takes nothing: the connection ends all the same
    while held(gateway.port, slow.getsockname()[1]):
        assert time.monotonic() < end + 20, "the connection is still there"
        await asyncio.sleep(0.1)
    slow.close()
