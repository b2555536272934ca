"""The matcher agrees with a brute-force oracle, whatever the boxes, points, kinds, rules and filters."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.contracts.bus import shard_of
from apps.contracts.entities import Access
from apps.contracts.filters import Condition, SavedFilter
from apps.filter_processor.geometry import above, below, boxes_of
from apps.filter_processor.matcher import Matcher
from tests.apps.filter_processor.support import change, registration, sees, slots

LAT = st.one_of(st.sampled_from([-90.0, 90.0, 0.0, 47.1, -0.0]), st.floats(-90, 90))
LON = st.one_of(st.sampled_from([-180.0, 180.0, 0.0, 179.9999999, -179.9999999]), st.floats(-180, 180))
KINDS = st.sampled_from(["aircraft", "ship", "truck"])
USERS = st.sampled_from(["ann", "bob", "eve"])
GROUPS = st.lists(st.sampled_from(["red", "blue"]), unique=True).map(tuple)
FILTERS = st.sampled_from(
    [
        (),
        (SavedFilter("f1", "high", (), (Condition("altitude", "gt", 100),)),),
        (
            SavedFilter("f2", "ships", ("ship",), ()),
            SavedFilter("f3", "named", (), (Condition("name", "exists", True),)),
        ),
    ]
)


@st.composite
def viewports(draw: st.DrawFn):
    """What a session may ask for."""
    south, north = sorted((draw(LAT), draw(LAT)))
    return {
        "south": south,
        "north": north,
        "west": draw(LON),
        "east": draw(LON),
        "user": draw(USERS),
        "groups": draw(GROUPS),
        "everything": draw(st.booleans()),
        "kinds": draw(st.lists(KINDS, unique=True).map(tuple)),
        "filters": draw(FILTERS),
        "gateway": draw(st.sampled_from(["g1", "g2"])),
    }


@st.composite
def states(draw: st.DrawFn, version: int):
    """A state an entity may be in."""
    return change(
        "e",
        version,
        draw(LAT),
        draw(LON),
        kind=draw(KINDS),
        access=draw(
            st.one_of(
                USERS.map(lambda user: Access("public", user)),
                USERS.map(lambda user: Access("owner", user)),
                st.tuples(USERS, st.sampled_from(["red", "blue"])).map(lambda it: Access("group", *it)),
            )
        ),
        attributes=draw(st.sampled_from([{}, {"altitude": 50}, {"altitude": 101}, {"name": "x"}])),
        deleted=draw(st.sampled_from([False, False, False, True])),
    )


@settings(max_examples=400, deadline=None)
@given(
    wanted=st.lists(viewports(), max_size=12),
    before=st.none() | states(1),
    after=st.none() | states(2),
    edge=st.booleans(),
)
def test_agrees_with_a_brute_force_oracle(wanted, before, after, edge):
    """Exactly those who see the new state are shown it; exactly those who only saw the old one lose it."""
    if edge and wanted and after is not None:
        # a point exactly on a corner of a box
        after = change(
            **{
                **{f: getattr(after, f) for f in ("kind", "access", "attributes", "deleted")},
                "entity_id": "e",
                "version": 2,
                "lat": wanted[0]["north"],
                "lon": wanted[0]["west"],
            }
        )
    matcher = Matcher()
    everyone = [registration(f"s{n}", n, n + 1, **view) for n, view in enumerate(wanted)]
    for one in everyone:
        matcher.put(one, 0.0)
    shown, gone = slots(matcher.match(before, after, 1.0))
    assert shown == {(one.gateway, one.slot) for one in everyone if sees(one, after)}
    assert gone == {(one.gateway, one.slot) for one in everyone if sees(one, before) and not sees(one, after)}


@given(st.floats(-180, 180))
@example(180.0)
@example(-90.0)
@example(47.10000000001)
def test_single_precision_bounds_enclose_the_number(value):
    """Rounding outwards never moves an edge inside, and is at most one step away."""
    assert float(below(value)) <= value <= float(above(value))
    assert above(value) == below(value) or np.nextafter(below(value), np.float32(np.inf)) == above(value)


def test_a_box_across_the_antimeridian_is_two():
    """`west > east` covers both sides of the 180th meridian and nothing between."""
    boxes = boxes_of(registration(west=170.0, east=-170.0, south=-10.0, north=10.0))
    assert boxes == ((-10.0, 170.0, 10.0, 180.0), (-10.0, -180.0, 10.0, -170.0))


def test_crossing_the_antimeridian_inside_a_viewport_removes_nothing():
    """An entity that leaves one half of a split viewport for the other stays visible."""
    matcher = Matcher()
    matcher.put(registration(west=170.0, east=-170.0), 0.0)
    hits = matcher.match(change(lon=179.9), change(version=2, lon=-179.9), 1.0)
    assert slots(hits) == ({("g1", 1)}, set())


def test_an_expired_registration_matches_nothing_and_is_handed_back():
    """Expiry holds in the match itself, before anybody sweeps."""
    matcher = Matcher()
    matcher.put(registration(ttl_ms=100), 0.0)
    assert slots(matcher.match(None, change(), 99.0))[0]
    assert not matcher.match(None, change(), 100.0)
    assert [late.session for late in matcher.expire(100.0)] == ["s"]
    assert not matcher.viewers


def test_only_a_newer_registration_replaces_one():
    """Reordered registrations and removals of an older one change nothing."""
    matcher = Matcher()
    assert matcher.put(registration(rev=5, east=10.0, west=0.0), 0.0)
    assert not matcher.put(registration(rev=4), 0.0)
    matcher.drop("s", rev=4)
    assert not matcher.match(None, change(lon=50.0), 1.0)
    assert matcher.match(None, change(lon=5.0), 1.0)
    assert not matcher.put(registration(rev=6), 1.0), "a renewal is not fresh"
    assert matcher.match(None, change(lon=50.0), 1.0)


def test_a_registration_after_its_expiry_is_fresh():
    """The gateway must learn that changes were missed in between."""
    matcher = Matcher()
    matcher.put(registration(ttl_ms=100), 0.0)
    assert matcher.put(registration(rev=2), 200.0)


def test_rows_are_reused_and_arrays_grow():
    """Thousands of sessions that come, move and go leave the arrays as large as the most at once."""
    matcher = Matcher()
    for turn in range(3):
        for n in range(3000):
            matcher.put(
                registration(f"s{n}", n, turn * 3000 + n + 1, gateway=f"g{turn}", west=170.0, east=-170.0),
                0.0,
            )
    assert len(matcher._south) == 8192
    assert len(slots(matcher.match(None, change(lon=175.0), 1.0))[0]) == 3000
    assert matcher._gateways.count("g2") == 1
    for n in range(3000):
        matcher.drop(f"s{n}")
    assert not matcher.match(None, change(lon=175.0), 1.0)
    assert not matcher._gateway_no


def test_more_kinds_than_bits_are_told_apart():
    """The 64th kind and those after it share a bit and still match exactly."""
    matcher = Matcher()
    for n in range(100):
        matcher.put(registration(f"s{n}", n, n + 1, kinds=(f"kind{n}",)), 0.0)
    for n in (0, 62, 63, 64, 99):
        assert slots(matcher.match(None, change(kind=f"kind{n}"), 1.0))[0] == {("g1", n)}


def test_a_shard_is_dropped_as_a_whole():
    """Losing a lease forgets that shard's sessions and no others."""
    matcher = Matcher()
    for n in range(50):
        matcher.put(registration(f"s{n}", n, n + 1, user=f"u{n}"), 0.0)
    shard = shard_of("u7")
    matcher.drop_shard(shard)
    left = {viewer.registration.user for viewer in matcher.viewers.values()}
    assert left == {f"u{n}" for n in range(50) if shard_of(f"u{n}") != shard}
    assert not list(matcher.of_shard(shard))
