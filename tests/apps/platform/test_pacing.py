"""Waiting: for work, for a time, and in every case for the end."""

from __future__ import annotations

import asyncio
import time

import pytest

from apps.platform.pacing import Bell, pause, run_until


async def test_a_bell_adds_up_rings_until_they_are_heard() -> None:
    """Two rings wake once; a ring after `heard` wakes again; without one the wait ends with its time."""
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    bell.heard()
    began = time.monotonic()
    await bell.wait(0.05)
    assert time.monotonic() - began >= 0.04
    bell.ring()
    await bell.wait(60)


async def test_the_end_rings_inside_and_not_outside() -> None:
    """`also` makes the end wake who waits; what it needs for that is gone afterwards."""
    bell, stop = Bell(), asyncio.Event()
    with bell.also(stop):
        asyncio.get_running_loop().call_later(0.01, stop.set)
        await asyncio.wait_for(bell.wait(), 30)
        assert stop.is_set()
    bell.heard()
    with bell.also(asyncio.Event()):
        pass
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_pause_ends_early_with_the_end() -> None:
    """A pause lasts its time, or until the end."""
    stop = asyncio.Event()
    began = time.monotonic()
    await pause(stop, 0.05)
    assert time.monotonic() - began >= 0.04
    stop.set()
    await asyncio.wait_for(pause(stop, 600), 30)


async def test_works_run_until_the_end_or_the_first_failure() -> None:
    """The end cancels all of them; what one raised is raised, and the others are cancelled by then."""
    stop, ended = asyncio.Event(), list[str]()

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(name)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no more")

    asyncio.get_running_loop().call_later(0.01, stop.set)
    await asyncio.wait_for(run_until(stop, work("a"), work("b")), 30)
    assert ended == ["a", "b"]
    with pytest.raises(ValueError, match="no more"):
        await run_until(asyncio.Event(), work("c"), fail())
    assert ended == ["a", "b", "c"]
