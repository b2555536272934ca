"""When a place in the stream is lost, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from redis.exceptions import ResponseError

from apps.filter_processor.consumer import Consumer, StreamState, gap_between, order_of
from apps.filter_processor.engine import Engine
from apps.filter_processor.matcher import Matcher
from apps.filter_processor.publisher import Publisher

BEFORE = StreamState("run", "5-0", 5, "1-0", 5)


@pytest.mark.parametrize(
    ("place", "now", "word"),
    [
        ("5-0", StreamState("run", "5-0", 5, "1-0", 5), ""),
        ("3-0", StreamState("run", "9-0", 9, "2-0", 8), ""),
        ("5-0", StreamState("other", "5-0", 5, "1-0", 5), "another server"),
        ("5-0", StreamState("run"), "began again"),
        ("5-0", StreamState("run", "4-9", 5, "1-0", 5), "began again"),
        ("5-0", StreamState("run", "9-0", 4, "9-0", 4), "began again"),
        ("5-0", StreamState("run", "9-0", 9, "7-0", 3), "trimmed"),
        ("5-0", StreamState("run", "9-0", 9, "", 0), "trimmed"),
        ("9-0", StreamState("run", "9-0", 9, "", 0), ""),
        ("0-0", StreamState("run", "9-0", 5, "5-0", 5), ""),
    ],
)
def test_gaps(place: str, now: StreamState, word: str):
    """A gap is another server, ids or counts that go backwards, or a first entry behind our place."""
    found = gap_between(place, BEFORE, now)
    assert word in found
    assert bool(found) == bool(word)


def test_ids_compare_as_the_stream_does():
    """By number, not by text."""
    assert order_of("9-10") > order_of("9-9")
    assert order_of("10-0") > order_of("9-99")


class Deaf:
    """A server whose read ends well although it was cancelled, once, as redis-py's may."""

    def __init__(self) -> None:
        self.swallowed = False

    async def info(self, _section: str) -> dict[str, str]:
        return {"run_id": "run"}

    async def xinfo_stream(self, _stream: str) -> None:
        raise ResponseError("no such key")

    async def xread(self, *_arguments: Any, **_options: Any) -> list[Any]:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            if self.swallowed:
                raise
            self.swallowed = True
        return []


class Empty:
    """A database without entities."""

    async def every(self, _deleted_within: float) -> AsyncGenerator[list[Any]]:
        for nothing in ():
            yield nothing


async def test_a_swallowed_cancellation_does_not_keep_the_consumer_running():
    """Stopping ends it, also when the read it waits for takes no notice."""
    redis, store = cast("Any", Deaf()), cast("Any", Empty())
    engine = Engine(Matcher(), 10)
    publisher = Publisher(redis, "p", 0.0, 10**6)
    subject = Consumer(redis, store, engine, publisher, batch=10, tick_seconds=0.0, catch_up_seconds=1)
    stop = asyncio.Event()
    running = asyncio.create_task(subject.run(stop))
    await subject.loaded.wait()
    await asyncio.sleep(0.02)
    stop.set()
    done, _ = await asyncio.wait((running,), timeout=10)
    assert done
    assert redis.swallowed
