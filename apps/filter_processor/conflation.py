"""The slow tick: delivers the newest version of entities that more sessions see than are told at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apps.filter_processor.intake import now_ms
from apps.platform.pacing import pause

if TYPE_CHECKING:
    from apps.filter_processor.engine import Engine
    from apps.filter_processor.publisher import Publisher


class Conflation:
    """A service: each tick has so many deliveries; what waited longest comes first, nothing is dropped."""

    name = "conflation"

    def __init__(self, engine: Engine, publisher: Publisher, *, tick_seconds: float, deliveries: int) -> None:
        self._engine = engine
        self._publisher = publisher
        self._tick = tick_seconds
        self._deliveries = deliveries

    async def run(self, stop: asyncio.Event) -> None:
        """Release each tick until told to stop: then another processor takes over, with snapshots."""
        while not stop.is_set():
            await pause(stop, self._tick)
            await self.release()

    async def release(self) -> None:
        """Deliver what waits, as far as this tick's number goes."""
        left = self._deliveries
        for _ in range(self._engine.waiting):
            if left <= 0:
                return
            await self._publisher.room()
            for gateway, item in self._engine.release(now_ms()):
                self._publisher.add(gateway, item)
                left -= len(item.slots) // 4
            await asyncio.sleep(0)
