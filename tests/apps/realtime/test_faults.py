"""Processors come, go and overlap, Redis forgets: every client ends with the truth and sees no duplicate."""

from __future__ import annotations

import asyncio
import signal

from apps.contracts.bus import SHARDS, lease_key
from tests.apps.realtime.live import World

ALPS = (5.0, 45.0, 11.0, 48.0)


async def leases_spread(world: World, processors: int) -> None:
    """Wait until so many processors hold all shards."""
    for _ in range(150):
        values = [world.redis.get(lease_key(shard)) for shard in range(SHARDS)]
        holders = {value.rpartition(b":")[0] for value in values if value}
        if all(values) and len(holders) == processors:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(holders)} processors hold shards")


async def test_a_killed_processor_is_replaced_and_nothing_is_lost(world: World):
    """Changes between the death and the take-over arrive; the clients stay connected and see no snapshot."""
    gateway, first = await world.pair()
    clients = [await world.client(gateway, f"u{n}") for n in range(8)]
    for client in clients:
        await client.look_at(*ALPS)
    world.write("a", 46.0, 8.0)
    world.write("gone", 46.0, 8.0)
    for client in clients:
        await client.holds({"a": 1, "gone": 1})
    first.stop(signal.SIGKILL)
    world.write("a", 46.1, 8.0)
    world.write("gone", 10.0, 8.0)
    world.write("b", 46.1, 8.0)
    await world.processor()
    await leases_spread(world, 1)
    for client in clients:
        await client.holds({"a": 2, "b": 1})
    world.write("b", 46.2, 8.0)
    for client in clients:
        await client.holds({"a": 2, "b": 2})
        assert [frame["type"] for frame in client.frames].count("snapshot") == 1


async def test_processors_share_and_hand_over_without_a_duplicate(world: World):
    """A second one takes half, and its orderly end gives it back, while changes go on: each is seen once, in order."""
    gateway, _ = await world.pair()
    clients = [await world.client(gateway, f"u{n}") for n in range(12)]
    for client in clients:
        await client.look_at(*ALPS)
    version = 0

    async def go_on(turns: int) -> None:
        nonlocal version
        for _ in range(turns):
            version = world.write("a", 46.0 + version / 1000, 8.0).version
            await asyncio.sleep(0.02)

    second, _ = await asyncio.gather(world.processor(), go_on(50))
    await asyncio.gather(leases_spread(world, 2), go_on(50))
    ended, _, _ = await asyncio.gather(asyncio.to_thread(second.stop), leases_spread(world, 1), go_on(100))
    assert ended == 0
    # the client helper fails by itself on a version it has, a gap in `seq` or a remove of nothing
    for client in clients:
        await client.holds({"a": version})


async def test_an_emptied_redis_heals(world: World):
    """FLUSHALL takes stream, leases and registrations: clients converge, and later changes come."""
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    world.write("a", 46.0, 8.0)
    await client.holds({"a": 1})
    world.write("a", 46.1, 8.0, announce=False)
    world.redis.flushall()
    await client.holds({"a": 2}, seconds=8)
    world.write("a", 46.2, 8.0)
    await client.holds({"a": 3}, seconds=8)


async def test_a_trimmed_stream_is_caught_up_from_the_database(world: World):
    """Entries that were trimmed before anybody read them are not missed."""
    gateway, processor = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    world.write("a", 46.0, 8.0)
    await client.holds({"a": 1})
    processor.process.send_signal(signal.SIGSTOP)
    for n in range(20):
        world.write(f"e{n}", 46.0, 8.0)
    world.redis.xtrim("entities", maxlen=0)
    processor.process.send_signal(signal.SIGCONT)
    await client.holds({"a": 1, **{f"e{n}": 1 for n in range(20)}})


async def test_a_lost_subscriber_begins_a_new_epoch(world: World):
    """The gateway's subscriber is killed: what was published meanwhile comes with a snapshot of a new epoch."""
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    epoch = client.epoch
    for one in world.redis.client_list():
        if one["name"].startswith("slipway-realtime") and one["name"].endswith("-sub"):
            world.redis.client_kill_filter(_id=one["id"])
    world.write("a", 46.0, 8.0)
    await client.holds({"a": 1})
    assert client.epoch != epoch
    assert "resync" in [frame["type"] for frame in client.frames]
    world.write("a", 46.1, 8.0)
    await client.holds({"a": 2})


async def test_duplicated_and_reordered_entries_change_nothing(world: World):
    """The stream may repeat itself and swap versions; the newest is what clients hold."""
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    changes = [world.write("a", 46.0 + n / 10, 8.0, announce=False) for n in range(4)]
    away = world.write("a", 10.0, 8.0, announce=False)
    back = world.write("a", 47.0, 8.0, announce=False)
    for one in (changes[1], changes[0], changes[1], back, away, changes[3], back):
        world.announce(one)
    await client.holds({"a": back.version})
    await client.quiet()
    assert [operation for operation, _, _ in client.applied].count("remove") == 0


async def test_a_late_message_does_not_bring_a_deleted_entity_back(world: World):
    """A processor that starts after the deletion knows it, also when a relay sends the former state again."""
    old = world.write("ghost", 46.0, 8.0, announce=False)
    world.write("ghost", 46.0, 8.0, deleted=True, announce=False)
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    world.announce(old)
    world.write("a", 46.0, 8.0)
    await client.holds({"a": 1})
    assert {entity for _, entity, _ in client.applied} == {"a"}
