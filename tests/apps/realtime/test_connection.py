"""How connections begin and end: every misuse has its close code, every end its reason."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import time

import aiohttp
import pytest

from tests.apps.realtime.live import World

ALPS = (5.0, 45.0, 11.0, 48.0)


async def test_misuse_is_closed_with_its_code(world: World):
    """Oversized, binary, malformed, unknown and unidentified frames each end their own connection only."""
    gateway = await world.gateway(max_message_bytes=2048, message_burst=10, messages_per_second=1)
    bystander = await world.client(gateway)
    for data, identified, code, word in (
        ("{" + " " * 3000, True, 4413, "frame.too_large"),
        (b"\x00\x01", True, 4400, "frame.binary"),
        ("{not json", True, 4400, "frame.malformed"),
        ('{"v":1,"type":"dance"}', True, 4400, "frame.invalid"),
        ('{"v":2,"type":"ping"}', True, 4400, "frame.invalid"),
        ('{"v":1,"type":"viewport","west":"x"}', True, 4400, "frame.invalid"),
        ('{"v":1,"type":"identify","token":"x"}', True, 4400, "identify.again"),
        ('{"v":1,"type":"ping"}', False, 4401, "identify.first"),
        ('{"v":1,"type":"identify","token":"x"}', False, 4401, "token.malformed"),
    ):
        client = await (world.client(gateway) if identified else world.connect(gateway))
        await client.socket.send(data)
        assert await client.closed() == (code, json.dumps({"code": word}, separators=(",", ":"))), data
        assert client.frames[-1]["type"] == "error"
        assert client.frames[-1]["code"] == word
    talker = await world.client(gateway)
    for _ in range(30):
        await talker.send(type="ping")
    assert (await talker.closed())[0] == 4429
    await bystander.send(type="ping")
    assert (await bystander.until("pong"))["v"] == 1


async def test_tokens_are_checked_at_the_start_and_in_time(world: World):
    """Expired, foreign and scopeless tokens are refused; one that expires ends the connection."""
    gateway = await world.gateway(identify_seconds=1.5)
    for token, word in (
        (world.token(ttl=-100), "token.expired"),
        (world.token(aud="others"), "token.wrong_audience"),
        (world.token(scope="filters:read"), "scope.missing"),
    ):
        client = await world.connect(gateway)
        await client.send(type="identify", token=token)
        code, reason = await client.closed()
        assert (code, json.loads(reason)["code"]) == (4401, word)
    silent = await world.connect(gateway)
    short = await world.connect(gateway)
    await short.identify(world.token(ttl=2))
    begun = time.monotonic()
    assert json.loads((await silent.closed())[1])["code"] == "identify.timeout"
    code, reason = await short.closed()
    assert (code, json.loads(reason)["code"]) == (4401, "token.expired")
    assert time.monotonic() - begun < 5


async def test_a_client_that_does_not_answer_pings_is_closed(world: World):
    """Two missed pings end a dead connection; one that answers stays."""
    gateway = await world.gateway(ping_interval_seconds=1)
    dead = await world.client(gateway)
    alive = await world.client(gateway)

    async def answer() -> None:
        while True:
            await alive.until("ping")
            await alive.send(type="pong")

    answering = asyncio.create_task(answer())
    code, reason = await dead.closed()
    assert (code, json.loads(reason)["code"]) == (4408, "heartbeat.missed")
    assert not answering.done()
    answering.cancel()


async def test_resume_brings_exactly_what_was_missed(world: World):
    """Within the time and the ring nothing is loaded again; what happened while away follows."""
    world.write("a", 46.0, 8.0)
    gateway, _ = await world.pair()
    first = await world.client(gateway)
    await first.look_at(*ALPS)
    world.write("a", 46.1, 8.0)
    await first.holds({"a": 2})
    seen = first.seq
    world.write("a", 46.2, 8.0)
    await first.holds({"a": 3})
    first.socket.transport.abort()
    world.write("b", 46.0, 8.0)
    await asyncio.sleep(0.3)
    second = await world.connect(gateway)
    second.has = {"a": {**first.has["a"], "version": 2}}
    welcome = await second.identify(world.token(), since=seen, epoch=first.epoch, session=first.session)
    assert (welcome["recovered"], welcome["session"], welcome["seq"]) == (True, first.session, seen)
    await second.holds({"a": 3, "b": 1})
    assert all(frame["type"] != "snapshot" for frame in second.frames)
    world.write("b", 10.0, 8.0)
    await second.holds({"a": 3})


@pytest.mark.parametrize("what", ["late", "ring", "epoch", "user", "unknown"])
async def test_resume_is_refused_as_a_whole(world: World, what: str):
    """Too late, beyond the ring, another epoch, user or session: recovered is false and the client starts anew."""
    gateway, _ = await world.pair(
        resume_seconds=0.5 if what == "late" else 15, ring_bytes=300 if what == "ring" else 16384
    )
    first = await world.client(gateway)
    await first.look_at(*ALPS)
    seen = first.seq
    for version in range(1, 5):
        world.write("a", 46.0 + version / 10, 8.0)
        await first.holds({"a": version})
    first.socket.transport.abort()
    await asyncio.sleep(2.2 if what == "late" else 0.2)
    second = await world.connect(gateway)
    welcome = await second.identify(
        world.token("bob" if what == "user" else "ann"),
        since=seen,
        epoch="other" if what == "epoch" else first.epoch,
        session="nobody" if what == "unknown" else first.session,
    )
    assert welcome["recovered"] is False
    assert welcome["session"] != first.session
    await second.look_at(*ALPS)
    await second.holds({"a": 4})


async def test_a_drain_tells_everybody_when_to_come_back(world: World):
    """On SIGTERM each client gets 1012 with its own delay, identified or not, and the process ends in time."""
    gateway = await world.gateway(drain_batch=5, drain_pause_milliseconds=20)
    clients = [await world.client(gateway, f"u{n}") for n in range(11)]
    clients.append(await world.connect(gateway))
    begun = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    ends = await asyncio.gather(*(client.closed() for client in clients))
    assert {code for code, _ in ends} == {1012}
    delays = {json.loads(reason)["retry_ms"] for _, reason in ends}
    assert len(delays) > 3
    assert all(100 <= delay <= 5000 for delay in delays)
    assert await asyncio.to_thread(gateway.process.wait, 20) == 0
    assert time.monotonic() - begun < 8


async def test_connections_that_come_too_fast_are_told_when_to_return(world: World):
    """Beyond the burst each gets a turn of its own, on both ways in; who is in already is not disturbed."""
    gateway = await world.gateway(connection_burst=2, connections_per_second=0.1)
    kept = [await world.client(gateway) for _ in range(2)]
    refused = [await (await world.connect(gateway)).closed() for _ in range(3)]
    assert {code for code, _ in refused} == {1013}
    waits = [json.loads(reason) for _, reason in refused]
    assert {wait["code"] for wait in waits} == {"gateway.busy"}
    times = [wait["retry_ms"] for wait in waits]
    assert times == sorted(times)
    assert 8000 < times[0] < times[-1] < 30_000, "one every ten seconds, and nobody is sent away for long"
    async with aiohttp.ClientSession() as http:
        body = json.dumps([{"v": 1, "type": "identify", "token": world.token()}])
        async with http.post(f"{gateway.base}/events", data=body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "gateway.busy")
            assert int(answer.headers["retry-after"]) >= 20
    for client in kept:
        await client.send(type="ping")
        await client.until("pong")


async def test_who_does_not_identify_leaves_room_for_others(world: World):
    """Connections that say nothing fill only their own bound; who identified meanwhile counts no more."""
    gateway = await world.gateway(max_identifying=2, identify_seconds=3)
    for _ in range(3):
        await world.client(gateway)
    silent = [await world.connect(gateway) for _ in range(2)]
    code, reason = await (await world.connect(gateway)).closed()
    assert (code, json.loads(reason)["code"]) == (1013, "gateway.busy")
    assert [(await client.closed())[0] for client in silent] == [4408, 4408]
    await world.client(gateway)


async def test_too_many_connections_are_told_to_try_later(world: World):
    """The bound on connections is enforced with a code, not with a hang."""
    gateway = await world.gateway(max_connections=2)
    kept = [await world.client(gateway) for _ in range(2)]
    code, reason = await (await world.connect(gateway)).closed()
    assert (code, json.loads(reason)["code"]) == (1013, "gateway.full")
    await kept[0].socket.close()
    await asyncio.sleep(0.2)
    await world.client(gateway)


async def test_a_client_that_never_reads_harms_nobody(world: World):
    """Its changes are bounded, healthy clients get all of theirs, and at last it is closed."""
    gateway, _ = await world.pair(stall_seconds=2, max_pending_bytes=50_000, resync_seconds=0.2)
    healthy, stalled = await world.client(gateway), await world.client(gateway, "eve")
    await healthy.look_at(*ALPS)
    await stalled.look_at(*ALPS)
    raw = stalled.socket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # else the kernel grows the window as far as it may: tens of MB that would all have to be written first
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    stalled.socket.transport.pause_reading()
    text = "x" * 6000
    for turn in range(1, 21):
        for n in range(50):
            world.write(f"e{n}", 46.0, 8.0 + turn / 1000, attributes={"text": text})
        await healthy.holds({f"e{n}": turn for n in range(50)})
    end = time.monotonic() + 20
    while not [line for line in gateway.events() if line["event"] == "client.stalled"]:
        assert time.monotonic() < end, "the stalled client was not closed"
        for n in range(50):
            world.write(f"e{n}", 46.0, 9.0, attributes={"text": text})
        await asyncio.sleep(0.1)
    stalled.socket.transport.abort()
