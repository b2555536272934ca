"""Sending: every event is counted, a busy API is awaited, and Ctrl-C takes everything off the map."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lab.errors import LabError
from lab.replay import reader, tokens
from lab.replay.buffer import Buffer, Counts
from lab.replay.player import Move, Vanish
from lab.replay.sender import Sender
from lab.replay.service import Plan, replay


def move(name: str, lat: float = 0.0) -> Move:
    """A move of an entity."""
    return Move(name, "aircraft", lat, 8.0, None, {})


@dataclass
class Api:
    """An API over a real socket that can be made busy or picky."""

    url: str = ""
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)  # statuses to answer next
    token: str = "good"
    retry_after: str = "0.05"

    def bulk(self, body: dict[str, Any]) -> web.Response:
        """Accept everything but what lies south of -80."""
        self.batches.append(len(body["entities"]))
        rejected, results = [], []
        for index, entity in enumerate(body["entities"]):
            if entity["lat"] < -80:
                rejected.append({"index": index, "error": {"detail": "too cold"}})
            else:
                self.entities[entity["id"]] = entity
                results.append({"id": entity["id"], "version": 1})
        return web.json_response({"accepted": len(results), "results": results, "rejected": rejected})


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The API, started on a free port."""
    state = Api()

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/.slipway/token":
            return web.json_response({"token": state.token})
        if request.headers.get("authorization") != f"Bearer {state.token}":
            return web.json_response({"title": "Unauthorized", "detail": "the token has expired"}, status=401)
        if request.path != "/v1/me" and state.busy:
            return web.Response(status=state.busy.pop(0), headers={"retry-after": state.retry_after})
        if request.path == "/v1/entities/bulk":
            return state.bulk(await request.json())
        if request.method == "DELETE":
            found = state.entities.pop(request.path.rsplit("/", 1)[1], None)
            return web.Response(status=204 if found else 404)
        if request.path == "/v1/entities":
            return web.json_response({"entities": list(state.entities.values()), "truncated": False})
        return web.json_response({"user": "replay"})

    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield state
    await runner.cleanup()


def balanced(counts: Counts, waiting: int) -> bool:
    """Nothing is lost silently: what was due is sent, overtaken, dropped, or still waits."""
    return counts.due == counts.sent + counts.overtaken + counts.dropped + waiting


def test_newest_position_wins_while_it_waits() -> None:
    """Two positions of one entity wait as one, the newer; the older is counted as overtaken."""
    counts = Counts()
    buffer = Buffer(counts)
    buffer.put([move("a", 1), move("b", 1), move("a", 2)], 0.0)
    assert [event.lat for event, _ in buffer.moves(10)] == [1, 2]
    assert (counts.due, counts.overtaken) == (3, 1)


def test_what_comes_back_gives_way_to_what_is_newer() -> None:
    """A batch that could not be sent waits again in front, but never over a newer position."""
    counts = Counts()
    buffer = Buffer(counts)
    buffer.put([move("a", 1), move("b", 1)], 0.0)
    taken = buffer.moves(10)
    buffer.put([Vanish("a"), move("c", 1)], 1.0)
    buffer.back(taken)
    assert [event.id for event, _ in buffer.moves(10)] == ["b", "c"]
    assert [event.id for event, _ in buffer.vanishings(10)] == ["a"]
    assert counts.overtaken == 1


def test_the_buffer_has_a_bound_and_counts_what_it_drops() -> None:
    """When too many entities wait, the one that waits longest goes, and is counted."""
    counts = Counts()
    buffer = Buffer(counts, limit=3)
    buffer.put([move(name) for name in "abcde"], 0.0)
    assert [event.id for event, _ in buffer.moves(10)] == ["c", "d", "e"]
    assert counts.dropped == 2


async def test_batches_stay_within_the_api_s_bound(api: Api) -> None:
    """2,500 entities go as three calls of at most a thousand."""
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move(f"e{index}") for index in range(2500)])
        await sender.flush()
        assert api.batches == [1000, 1000, 500]
        assert (sender.counts.accepted, sender.alive, sender.waiting) == (2500, 2500, 0)
        assert balanced(sender.counts, sender.waiting)


async def test_refused_entities_are_counted_with_the_reason(api: Api) -> None:
    """One bad entity does not take its batch down; why it was refused is kept."""
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move("a"), move("b", -85), move("c")])
        await sender.flush()
        assert (sender.counts.accepted, sender.counts.rejected, sender.alive) == (2, 1, 2)
        assert dict(sender.reasons) == {"too cold": 1}


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_api_is_awaited_and_nothing_is_lost(api: Api, status: int) -> None:
    """A busy answer is a pause: the batch waits, newer positions take its place, then all of it is sent."""
    api.busy = [status, status]
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move("a", 1), move("b", 1)])
        await sender.flush()
        assert (sender.waiting, sender.counts.retries) == (2, 1)
        assert str(status) in sender.trouble
        sender.put([move("a", 2)])
        await sender.flush()
        await sender.flush()
        assert api.entities["a"]["lat"] == 2
        assert (sender.counts.accepted, sender.counts.overtaken, sender.trouble) == (2, 1, "")
        assert balanced(sender.counts, sender.waiting)


async def test_the_pause_that_the_api_asks_for_is_kept(api: Api) -> None:
    """`Retry-After` is a lower bound of the pause."""
    api.busy, api.retry_after = [429], "0.8"
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move("a")])
        started = asyncio.get_running_loop().time()
        await sender.flush()
        assert asyncio.get_running_loop().time() - started >= 0.8


async def test_an_ended_track_is_deleted_after_its_last_position(api: Api) -> None:
    """A vanishing goes out behind the moves; an entity that is gone already is no failure."""
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move("a"), move("b")])
        await sender.flush()
        sender.put([Vanish("a"), Vanish("never-there"), move("b", 3)])
        await sender.flush()
        assert list(api.entities) == ["b"]
        assert (sender.counts.deleted, sender.counts.rejected, sender.alive) == (2, 0, 1)


async def test_a_deletion_that_meets_a_busy_api_is_tried_again(api: Api) -> None:
    """Deletions are not lost to a 503 either."""
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move(name) for name in "abcd"])
        await sender.flush()
        api.busy = [503, 503]
        sender.put([Vanish(name) for name in "abcd"])
        await sender.flush()
        assert sender.waiting == 2
        await sender.flush()
        assert api.entities == {}
        assert balanced(sender.counts, sender.waiting)


async def test_clearing_takes_everything_off_the_map(api: Api) -> None:
    """What this sender made is deleted, what others made stays."""
    api.entities["other"] = {}
    async with Sender(api.url, tokens.given("good")) as sender:
        sender.put([move(f"e{index}") for index in range(40)])
        await sender.flush()
        assert await sender.clear() == 0
        assert list(api.entities) == ["other"]


async def test_an_expired_token_is_replaced_and_a_refused_one_ends_in_words(api: Api) -> None:
    """The local stack's token is asked for again; one that was given and is refused is an error with a hint."""
    async with Sender(api.url, tokens.from_front(api.url, "replay")) as sender:
        await sender.check()
        api.token = "newer"
        sender.put([move("a")])
        await sender.flush()
        assert sender.counts.accepted == 1
    async with Sender(api.url, tokens.given("old")) as sender:
        sender.put([move("b")])
        with pytest.raises(LabError, match="does not accept the token") as caught:
            await sender.flush()
        assert "expired" in str(caught.value.cause)
        assert sender.waiting == 1


async def test_no_api_is_said_before_anything_is_sent(unused_port: int) -> None:
    """A wrong address ends at once, with the way out."""
    async with Sender(f"http://127.0.0.1:{unused_port}", tokens.given("x")) as sender:
        with pytest.raises(LabError, match="no API answers") as caught:
            await sender.check()
        assert "slipway up" in str(caught.value.hint)


async def test_what_a_killed_replay_left_is_taken_over_and_removed(api: Api, tmp_path: Path) -> None:
    """Entities of an earlier replay that are not in the air now go; another user's of the same name stays."""
    for name, owner in (("a", "replay"), ("b", "replay"), ("c", "somebody"), ("other", "replay")):
        api.entities[name] = {"id": name, "lat": 0, "access": {"rule": "public", "owner": owner}}
    path = tmp_path / "tracks.csv"
    path.write_text("id,time,lat,lon\na,0,1,1\nb,9000,1,1\nc,9000,1,1\n")
    recording = reader.read(path)
    stop = asyncio.Event()
    plan = Plan((recording,), start=0)
    playing = asyncio.create_task(replay(plan, api.url, tokens.given("good"), stop=stop))
    while "b" in api.entities:  # noqa: ASYNC110  the other side is a server
        await asyncio.sleep(0.02)
    assert sorted(api.entities) == ["a", "c", "other"]
    stop.set()
    await playing
    assert sorted(api.entities) == ["c", "other"]


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def test_the_verb_plays_a_file_to_its_end(api: Api, tmp_path: Path) -> None:
    """`slipway replay FILE --json` sends every position in order, deletes the track, and accounts for each line."""
    path = tmp_path / "tracks.csv"
    path.write_text("id,time,lat,lon\na,0,1,1\na,2,2,2\nbroken\na,4,3,3\n")
    code, out, err = await run(
        "replay", str(path), "--speed", "10", "--start", "0", "--url", api.url, "--json"
    )
    document = json.loads(out)
    assert code == 1, "a broken line is a finding"
    assert "line 4: has 1 fields instead of 4" in err
    assert document["recordings"][0]["broken"] == 1
    assert document["rejected"] == 0
    assert document["due"] == document["sent"] + document["overtaken"]
    assert (document["deleted"], document["left"]) == (1, 0)
    assert api.entities == {}


async def test_ctrl_c_ends_it_and_leaves_nothing(api: Api) -> None:
    """An interrupt takes the aircraft off the map and exits with 130."""
    process = await started("replay", "switzerland", "--url", api.url)
    while len(api.entities) < 100:  # noqa: ASYNC110  the other side is another process
        await asyncio.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    assert b"on the map" in out
    assert api.entities == {}


@pytest.mark.parametrize("words", [["--speed", "0"], ["--speed", "fast"], ["--fold", "-3"]])
async def test_flags_out_of_range_are_usage_errors(words: list[str]) -> None:
    """A speed or a length that cannot be is answered with what can be, exit 2."""
    code, _, err = await run("replay", *words)
    assert code == 2
    assert "hint:" in err


async def started(*words: str) -> asyncio.subprocess.Process:
    """The command line as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lab.cli",
        *words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
        cwd=Path(__file__).parents[2],
    )


async def run(*words: str) -> tuple[int | None, str, str]:
    """Run to the end."""
    process = await started(*words)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()
