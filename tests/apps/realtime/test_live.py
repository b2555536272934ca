"""Real gateway, real processor, real servers: a change reaches exactly those who may see it."""

from __future__ import annotations

from apps.contracts.entities import Access, Trace
from tests.apps.realtime.live import World

ALPS = (5.0, 45.0, 11.0, 48.0)


async def test_a_snapshot_then_exactly_the_deltas(world: World):
    """What was stored before comes as the snapshot, what happens after as deltas, with the change's trace."""
    world.write("before", 46.0, 8.0)
    world.write("elsewhere", 10.0, 8.0)
    gateway, _ = await world.pair()
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


async def test_only_who_may_see_it_and_wants_it(world: World):
    """Access rule, kinds, saved filters and viewport each decide, for snapshot and deltas alike."""
    world.save_filter("high", "ann", ["aircraft"], [{"attribute": "altitude", "op": "gt", "value": 1000}])
    world.write("mine", 46.0, 8.0, access=Access("owner", "ann"))
    world.write("ours", 46.0, 8.0, access=Access("group", "owner", "red"))
    gateway, _ = await world.pair()
    ann = await world.client(gateway, "ann", ("red",))
    bob = await world.client(gateway, "bob")
    ships = await world.client(gateway, "eve")
    high = await world.client(gateway, "ann")
    assert {entity["id"] for entity in (await ann.look_at(*ALPS))["entities"]} == {"mine", "ours"}
    assert (await bob.look_at(*ALPS))["entities"] == []
    await ships.look_at(*ALPS, kinds=["ship"])
    await high.look_at(*ALPS, filters=["high"])
    world.write("ship", 46.0, 8.0, kind="ship")
    world.write("low", 46.0, 8.0, attributes={"altitude": 500})
    world.write("up", 46.0, 8.0, attributes={"altitude": 5000})
    await ann.holds({"mine": 1, "ours": 1, "ship": 1, "low": 1, "up": 1})
    await bob.holds({"ship": 1, "low": 1, "up": 1})
    await ships.holds({"ship": 1})
    await high.holds({"up": 1})
    # descending below the filter is a remove, and so is losing access
    world.write("up", 46.0, 8.0, attributes={"altitude": 900})
    world.write("low", 46.0, 8.0, access=Access("owner", "ann"))
    await high.holds({})
    await bob.holds({"ship": 1, "up": 2})
    await ann.holds({"mine": 1, "ours": 1, "ship": 1, "low": 2, "up": 2})
    await ships.quiet()


async def test_moving_the_viewport(world: World):
    """The new view replaces the old one, across the antimeridian too; what the old one showed is no more told."""
    world.write("alps", 46.0, 8.0)
    world.write("fiji", -17.0, 178.0)
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    await client.holds({"alps": 1})
    snapshot = await client.look_at(170.0, -25.0, -170.0, -10.0)
    assert [entity["id"] for entity in snapshot["entities"]] == ["fiji"]
    world.write("alps", 46.1, 8.0)
    world.write("fiji", -17.0, -179.0)
    world.write("samoa", -13.0, -172.0)
    await client.holds({"fiji": 2, "samoa": 1})
    await client.quiet()
    await client.send(type="viewport", west=1, south=50, east=2, north=40)
    assert (await client.until("error"))["code"] == "viewport.invalid"
    world.write("fiji", -17.0, -178.0)
    await client.holds({"fiji": 3, "samoa": 1})


async def test_a_changed_filter_changes_the_view(world: World):
    """Saving a filter refreshes the sessions that use it; deleting it is said."""
    world.save_filter("f", "ann", ["ship"], [])
    world.write("ship", 46.0, 8.0, kind="ship")
    world.write("plane", 46.0, 8.0)
    gateway, _ = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS, filters=["f"])
    await client.holds({"ship": 1})
    world.save_filter("f", "ann", ["aircraft"], [])
    await client.holds({"plane": 1})
    world.write("ship", 46.5, 8.0, kind="ship")
    world.write("plane", 46.5, 8.0)
    await client.holds({"plane": 2})
    await client.send(type="viewport", west=5, south=45, east=11, north=48, filters=["f", "nobodys"])
    assert (await client.until("error"))["code"] == "filter.unknown"


async def test_without_any_processor_the_map_is_shown_and_heals(world: World):
    """A snapshot comes after the wait, and what was missed comes as soon as a processor is there."""
    world.write("a", 46.0, 8.0)
    gateway = await world.gateway(active_seconds=0.5)
    client = await world.client(gateway)
    await client.look_at(*ALPS)
    await client.holds({"a": 1})
    world.write("a", 46.1, 8.0)
    world.write("b", 46.1, 8.0)
    await client.quiet()
    await world.processor()
    await client.holds({"a": 2, "b": 1})
    world.write("b", 10.0, 8.0)
    await client.holds({"a": 2})


async def test_numbers_of_any_size_reach_the_map(world: World):
    """An attribute and a filter beyond 64 bits, which PostgreSQL keeps as integers, end neither gateway nor processor."""
    world.save_filter("big", "ann", [], [{"attribute": "mass", "op": "gt", "value": 10**30}])
    world.write("stored", 46.0, 8.0, attributes={"mass": 2e30}, announce=False)
    gateway, processor = await world.pair()
    client = await world.client(gateway)
    await client.look_at(*ALPS, filters=["big"])
    await client.holds({"stored": 1})
    world.write("sun", 46.0, 8.0, attributes={"mass": 2e30})
    world.write("moon", 46.0, 8.0, attributes={"mass": 7e22})
    await client.holds({"stored": 1, "sun": 1})
    # as text they differ (2e30 and 31 digits); to a reader of JSON they are one number
    assert {float(one["attributes"]["mass"]) for one in client.has.values()} == {2e30}
    assert gateway.process.poll() is processor.process.poll() is None
