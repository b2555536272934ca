"""Real gateway, real processor, real servers: a change reaches exactly those who may see it."""

from __future__ import annotations

from apps.contracts.entities import Access, Trace
from tests.apps.realtime.live import World

ALPS = (5.0, 45.0, 11.0, 48.0)


async def test_a_snapshot_then_exactly_the_deltas(world: World):
    """What was stored before comes as the snapshot, what happens after as deltas, with the change's trace."""
    world.write("before", 46.0, 8.0)
    world.write("elsewhere", 10.0, 8.0)
    gateway, _ = await world.gateway(), await world.processor()
    client = await world.client(gateway)
    snapshot = await client.look_at(*ALPS)
    assert [entity["id"] for entity in snapshot["entities"]] == ["before"]
    assert snapshot["traceparent"]
    world.write("before", 46.5, 8.5, trace=Trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "corr-1"))
    world.write("elsewhere", 11.0, 8.0)
    world.write("new", 47.0, 9.0, attributes={"callsign": "SWR1"})
    await client.holds({"before": 2, "new": 1})
    assert client.has["new"]["attributes"] == {"callsign": "SWR1"}
    assert any(frame.get("correlation_id") == "corr-1" for frame in client.frames if frame["type"] == "delta")
    world.write("before", 20.0, 8.5)
    world.write("new", 47.0, 9.0, deleted=True)
    await client.holds({})
    await client.quiet()
