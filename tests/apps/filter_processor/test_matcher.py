"""The matcher agrees with a brute-force oracle, whatever the boxes, points, kinds, rules and filters."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from apps.contracts.bus import shard_of
from apps.contracts.entities import Access
from apps.contracts.filters import Condition, SavedFilter
from apps.contracts.views import Box, KindRules
from apps.filter_processor.geometry import edges_around, edges_needed
from apps.filter_processor.matcher import Matcher
from apps.platform.settings import KindRule
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
RULES = st.dictionaries(
    st.sampled_from(["aircraft", "ship", "truck", "*"]),
    st.builds(
        KindRule,
        min_zoom=st.sampled_from([0.0, 5.0, 10.0]),
        margin_degrees=st.sampled_from([0.0, 0.5, 200.0]),
        margin_fraction=st.sampled_from([0.0, 0.25, 1.0]),
    ),
).map(KindRules)


@st.composite
def viewports(draw: st.DrawFn):
    """What a session may ask for."""
    south, north = sorted((draw(LAT), draw(LAT)))
    return {
        "south": south,
        "north": north,
        "west": draw(LON),
        "east": draw(LON),
        "zoom": draw(st.sampled_from([0.0, 5.0, 9.5])),
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


@settings(max_examples=300, deadline=None)
@given(
    wanted=st.lists(viewports(), max_size=12),
    before=st.none() | states(1),
    after=st.none() | states(2),
    edge=st.booleans(),
    rules=RULES,
    grid_rows=st.sampled_from([0, 4, 1000]),
)
def test_agrees_with_a_brute_force_oracle(wanted, before, after, edge, rules, grid_rows):
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
    matcher = Matcher(rules, grid_rows)
    everyone = [registration(f"s{n}", n, n + 1, **view) for n, view in enumerate(wanted)]
    for one in everyone:
        matcher.put(one, 0.0)
    shown, gone = slots(matcher.match(before, after, 1.0))
    assert shown == {(one.gateway, one.slot) for one in everyone if sees(one, after, rules)}
    assert gone == {
        (one.gateway, one.slot)
        for one in everyone
        if sees(one, before, rules) and not sees(one, after, rules)
    }


NEAR = st.floats(-0.3, 0.3)
SIZES = st.sampled_from([0.0, 0.001, 0.02, 0.05, 0.3, 1.28, 30.0, 90.0])
PLACES = [(47.0, 8.0), (-0.01, 179.99), (89.9, -179.99)]


@st.composite
def steps(draw: st.DrawFn):
    """One thing that happens to the matcher or to an entity, around a few places so that much is near."""
    lat, lon = draw(st.sampled_from(PLACES))
    lat, lon = min(lat + draw(NEAR), 90.0), lon + draw(NEAR)
    lon = lon - 360 if lon > 180 else lon + 360 if lon < -180 else lon
    what = draw(
        st.sampled_from(["put", "put", "put", "drop", "expire", "renew", "change", "change", "change"])
    )
    session = draw(st.integers(0, 6))
    if what == "put":
        high, wide = draw(SIZES), draw(SIZES)
        east = lon + wide
        return (
            what,
            session,
            {
                "south": max(lat - high, -90.0),
                "north": lat,
                "west": lon,
                "east": east - 360 if east > 180 else east,
                "zoom": draw(st.sampled_from([0.0, 9.5])),
                "user": draw(USERS),
                "groups": draw(GROUPS),
                "kinds": draw(st.lists(KINDS, max_size=1).map(tuple)),
                "filters": draw(FILTERS),
                "gateway": draw(st.sampled_from(["g1", "g2"])),
                "ttl_ms": draw(st.sampled_from([2, 1000])),
            },
        )
    if what == "change":
        state = draw(states(1))
        return what, draw(st.integers(0, 2)), structs.replace(state, lat=lat, lon=lon)
    return what, session, None


@settings(max_examples=150, deadline=None)
@given(history=st.lists(steps(), max_size=40), rules=RULES)
def test_scan_and_grid_agree_with_the_oracle_whatever_happens(history, rules):
    """Sessions come, move, renew, leave and expire while entities move, change hands and go: all three agree."""
    scan, grid, both = Matcher(rules), Matcher(rules, 0), Matcher(rules, 3)
    model: dict[int, tuple] = {}
    known: dict[int, object] = {}
    for now, (what, number, more) in enumerate(history, start=1):
        name = f"s{number}"
        if what == "put" or (what == "renew" and number in model):
            one = (
                registration(name, number, now, **more)
                if what == "put"
                else structs.replace(model[number][0], rev=now)
            )
            fresh = number not in model or model[number][1] <= now
            assert {it.put(one, float(now)) for it in (scan, grid, both)} == {fresh}
            model[number] = one, now + one.ttl_ms
        elif what == "drop":
            for it in (scan, grid, both):
                it.drop(name)
            model.pop(number, None)
        elif what == "expire":
            late = {one.session for one, ends in model.values() if ends <= now}
            for it in (scan, grid, both):
                assert {one.session for one in it.expire(float(now))} == late
            model = {n: (one, ends) for n, (one, ends) in model.items() if ends > now}
        elif what == "change":
            before, after = known.get(number), structs.replace(more, version=now)
            live = [one for one, ends in model.values() if ends > now]
            expected = (
                {(one.gateway, one.slot) for one in live if sees(one, after, rules)},
                {
                    (one.gateway, one.slot)
                    for one in live
                    if sees(one, before, rules) and not sees(one, after, rules)
                },
            )
            for it in (scan, grid, both):
                assert slots(it.match(before, after, float(now))) == expected
            known[number] = after
    rows = len(scan._owner) - len(scan._free)
    assert rows == 0 or grid._grid is not None
    assert grid._grid is None or rows <= grid._grid.entries <= 4 * rows


@settings(max_examples=100, deadline=None)
@given(
    wanted=st.lists(viewports(), max_size=8),
    pairs=st.lists(st.tuples(st.none() | states(1), st.none() | states(2)), max_size=6),
    rules=RULES,
)
def test_many_changes_at_once_are_matched_as_one_by_one(wanted, pairs, rules):
    """What changes share in a batch changes nothing for any of them."""
    subject = Matcher(rules)
    for n, view in enumerate(wanted):
        subject.put(registration(f"s{n}", n, n + 1, **view), 0.0)
    together = subject.match_all(pairs, 1.0) if pairs else []
    assert [slots(hits) for hits in together] == [slots(subject.match(*pair, 1.0)) for pair in pairs]


def test_cells_are_built_and_given_up_with_the_number_of_rows():
    """Above the threshold cells are built from what is there, and given up well below it, not at once."""
    subject = Matcher(grid_rows=10)
    for n in range(11):
        subject.put(registration(f"s{n}", n, n + 1, west=n * 1.0, east=n * 1.0 + 0.01 * n), 0.0)
    assert subject._grid is not None
    assert slots(subject.match(None, change(lon=5.04), 1.0)) == ({("g1", 5)}, set())
    for n in range(3):
        subject.drop(f"s{n}")
    assert subject._grid is not None
    subject.drop("s3")
    assert subject._grid is None
    assert slots(subject.match(None, change(lon=5.04), 1.0)) == ({("g1", 5)}, set())


def test_a_map_of_the_world_fills_no_cells():
    """A viewport larger than every cell size is one entry; a small one at a corner of cells is four."""
    subject = Matcher(grid_rows=0)
    subject.put(registration("world", 1, 1), 0.0)
    assert subject._grid is not None
    assert subject._grid.entries == 1
    subject.put(registration("small", 2, 2, south=-0.005, north=0.005, west=-0.005, east=0.005), 0.0)
    assert subject._grid.entries == 5


@given(st.floats(-90, 90), st.floats(-180, 180))
@example(90.0, 180.0)
@example(-90.0, -180.0)
@example(47.10000000001, 8.1)
def test_single_precision_never_misses_a_point(lat, lon):
    """A box of no size still holds its own point after rounding, and grows by two steps at most."""
    edges, needed = edges_around([Box(lat, lon, lat, lon)]), edges_needed([(lat, lon)])[:, 0]
    assert (edges >= needed).all()
    exact = np.array((-lat, -lon, lat, lon))
    assert (edges - exact <= 2 * np.spacing(np.abs(edges))).all()
    assert (edges_needed([(lat, lon), (0.0, 0.0)])[:, 0] <= needed).all()


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
    assert len(matcher._expires) == 8192
    assert len(slots(matcher.match(None, change(lon=175.0), 1.0))[0]) == 3000
    assert len(matcher._gateways) == 1
    for n in range(3000):
        matcher.drop(f"s{n}")
    assert not matcher.match(None, change(lon=175.0), 1.0)
    assert not len(matcher._gateways)


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
