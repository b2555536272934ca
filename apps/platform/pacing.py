"""How a service waits: for work, for the time of its next round, and in every case for its end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


class Bell:
    """Wakes a service that waits. Rings add up to one, until the service says that it has heard them."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There is work."""
        self._rung.set()

    def heard(self) -> None:
        """What is there now is being done: only a later ring wakes again."""
        self._rung.clear()

    async def wait(self, seconds: float | None = None) -> None:
        """Until it rings, or so long. No task is made for it: services wait many times a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()

    @contextlib.contextmanager
    def also(self, stop: asyncio.Event) -> Generator[None]:
        """Inside, the end rings too: one wait is enough for both."""
        ending = asyncio.ensure_future(stop.wait())
        ending.add_done_callback(lambda _: self.ring())
        try:
            yield
        finally:
            ending.cancel()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def run_until(stop: asyncio.Event, *works: Coroutine[Any, Any, object]) -> None:
    """Run these side by side until `stop`, or until one of them ends; what one of them raised is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
