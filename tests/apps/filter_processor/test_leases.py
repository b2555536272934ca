"""Fair shares without talking, and leases that make them so on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.contracts.bus import PROCESSORS_KEY, SHARDS
from apps.filter_processor.leases import Leases, fair_shares
from apps.platform.redis import create
from apps.platform.settings import RedisSettings

NAMES = st.lists(st.text("abcdef0123456789", min_size=4, max_size=12), min_size=1, max_size=20, unique=True)


@given(NAMES, st.randoms(use_true_random=False))
def test_shares_are_fair_complete_and_the_same_for_everyone(names: list[str], random: Any):
    """Every shard has one holder, no share exceeds another by more than one, order does not matter."""
    shares = fair_shares(names)
    assert sorted(shard for share in shares.values() for shard in share) == list(range(SHARDS))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    random.shuffle(names)
    assert fair_shares(names) == shares


def test_few_shards_move_when_a_processor_joins():
    """The newcomer's share moves, and little else."""
    moved = 0
    for turn in range(20):
        names = [f"p{turn}-{n}" for n in range(4)]
        before = {shard: name for name, share in fair_shares(names).items() for shard in share}
        after = {
            shard: name for name, share in fair_shares([*names, f"new{turn}"]).items() for shard in share
        }
        moved += sum(1 for shard in range(SHARDS) if before[shard] != after[shard])
    assert moved / 20 <= 2 * SHARDS / 5


class Holder:
    """Notes which shards it has, with their orders."""

    def __init__(self) -> None:
        self.has: dict[int, int] = {}

    async def take(self, shards: dict[int, int]) -> None:
        self.has.update(shards)

    async def release(self, shards: set[int]) -> None:
        for shard in shards:
            del self.has[shard]


class Member:
    """One processor's leases."""

    def __init__(self, redis: Any, name: str) -> None:
        self.holder = Holder()
        self.leases = Leases(redis, self.holder, name, 0.6)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.leases.run(self.stop))

    async def leave(self) -> None:
        self.stop.set()
        await self.task

    async def die(self) -> None:
        """End as a killed process does: without letting go."""

        async def nothing() -> None:
            pass

        self.leases._leave = nothing
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def spread(members: list[Member], seconds: float = 8.0) -> None:
    """Wait until the members hold every shard once, in fair shares."""
    async with asyncio.timeout(seconds):
        while True:
            held = sorted(shard for member in members for shard in member.holder.has)
            sizes = [len(member.holder.has) for member in members]
            if held == list(range(SHARDS)) and max(sizes) - min(sizes) <= 1:
                return
            await asyncio.sleep(0.02)


async def test_leases_follow_who_lives(valkey: Any):
    """Members join, leave and die: shards spread, orders rise with every take-over, the dead are replaced."""
    settings = RedisSettings(
        redis_host=valkey.host,
        redis_port=valkey.port,
        redis_password=valkey.password,
        redis_ca_file=str(valkey.ca_file),
    )
    redis = create(settings, "leases")
    first = Member(redis, "first")
    await spread([first])
    before = dict(first.holder.has)
    second, third = Member(redis, "second"), Member(redis, "third")
    await spread([first, second, third])
    assert all(
        order > before[shard] for member in (second, third) for shard, order in member.holder.has.items()
    )
    await second.leave()
    await spread([first, third], 1.5)
    before = dict(third.holder.has)
    await third.die()
    await spread([first])
    assert all(first.holder.has[shard] > order for shard, order in before.items())
    assert await redis.zrange(PROCESSORS_KEY, 0, -1) == [b"first"]
    await first.leave()
    assert await redis.zcard(PROCESSORS_KEY) == 0
    await redis.aclose()
