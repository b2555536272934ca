"""Plays the filter processor towards a gateway: reads registrations and answers `Active`, renewals too."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from apps.contracts import bus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.realtime.world import World

NAME: Final = "benchmark"


@dataclass
class Processor:
    """What registrations said."""

    gateway: str = ""
    #: Slot of every user of the gateway.
    slots: dict[str, int] = field(default_factory=dict[str, int])
    registrations: int = 0

    def take(self, data: bytes) -> bytes:
        """Return the answer to one message of a shard's channel, empty when there is none."""
        fresh: list[tuple[int, int, bool]] = []
        for item in bus.decode_viewports(data).items:
            if isinstance(item, bus.Registration):
                self.registrations += 1
                self.gateway = item.gateway
                new = self.slots.get(item.user) != item.slot
                self.slots[item.user] = item.slot
                fresh.append((item.slot, item.rev, new))
        return bus.encode(bus.Active(NAME, 1, fresh)) if fresh else b""


@asynccontextmanager
async def playing(world: World) -> AsyncGenerator[Processor]:
    """Answer until the block ends."""
    played = Processor()
    channels: Any = world.redis.pubsub(ignore_subscribe_messages=True)
    await channels.psubscribe(bus.viewports_channel(0)[:-1] + "*")
    task = asyncio.create_task(_play(world, channels, played))
    try:
        yield played
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await channels.aclose()


async def _play(world: World, channels: Any, played: Processor) -> None:
    async for message in channels.listen():
        answer = played.take(message["data"])
        if answer:
            await world.redis.publish(bus.gateway_channel(played.gateway), answer)
