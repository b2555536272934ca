"""One rule of what a view takes in, on both paths: snapshots and live changes agree to the last bit."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool
from pydantic import ValidationError

from apps.contracts.protocol import Bounds
from apps.contracts.views import KindRules, Margin, boxes
from apps.filter_processor.matcher import Matcher
from apps.platform.settings import KindRule, ViewSettings
from apps.realtime.session import View
from apps.realtime.store import SnapshotStore
from tests.apps.filter_processor.support import change, registration, sees

if TYPE_CHECKING:
    from tests.servers import Database

LAT, LON = st.floats(-90, 90), st.floats(-180, 180)


@given(st.tuples(LAT, LON), st.floats(0, 90), st.floats(0, 360), st.floats(0, 200), st.floats(0, 1), LAT, LON)
@example((0.0, 170.0), 1.0, 10.0, 1.0, 0.0, 0.5, -179.5)
@example((0.0, -180.0), 1.0, 360.0, 1.0, 0.0, 0.5, 0.0)
@example((0.0, -179.5), 0.0, 0.0, 1.0, 0.0, 0.5, 179.6)
def test_a_margin_grows_a_view_on_every_side_and_no_further(
    corner: tuple[float, float],
    height: float,
    width: float,
    degrees: float,
    fraction: float,
    lat: float,
    lon: float,
) -> None:
    """A point is inside exactly when it is no further from the view than the margin, round the world too."""
    south, west = corner
    north, east = min(south + height, 90.0), west + width
    east = east - 360 if east > 180 else east
    found = boxes(south, west, north, east, Margin(degrees, fraction))
    assert all(-90 <= box.south <= box.north <= 90 and -180 <= box.west <= box.east <= 180 for box in found)
    width = east - west if west <= east else east - west + 360
    offset = (lon - west) % 360
    beyond = 0.0 if offset <= width else min(offset - width, 360 - offset)
    too_far = max(
        beyond - degrees - fraction * width,
        max(south - lat, lat - north, 0.0) - degrees - fraction * (north - south),
    )
    inside = any(box.south <= lat <= box.north and box.west <= lon <= box.east for box in found)
    # the grown edge itself is a matter of rounding; both sides of the map compute it the same way
    assert abs(too_far) < 1e-6 or inside == (too_far < 0)


def test_rules_are_bounded_and_named() -> None:
    """A rule that nobody can mean is refused with its kind's name; unknown words are too."""
    for wrong in ({"min_zoom": -1}, {"margin_degrees": 361}, {"margin": 1}):
        with pytest.raises(ValidationError, match="truck"):
            ViewSettings.model_validate({"kind_rules": {"truck": wrong}})


RULES = {
    "ship": KindRule(min_zoom=6, margin_degrees=0.25),
    "truck": KindRule(min_zoom=9, margin_fraction=0.1),
    "train": KindRule(),
    "*": KindRule(margin_degrees=0.05, margin_fraction=0.05),
}
KINDS = ["ship", "truck", "train", "aircraft", "bus"]


@pytest.mark.parametrize("rules", [{}, RULES, {"ship": RULES["ship"]}], ids=["none", "many", "one"])
async def test_snapshot_and_changes_show_the_same(database: Database, rules: dict[str, KindRule]) -> None:
    """Views and entities at random, many exactly on a grown edge: the SQL, the matcher and the rule agree."""
    pick = random.Random(11)
    resolved = KindRules(rules)
    views = [_view(pick) for _ in range(40)]
    places = [_place(pick, resolved, views) for _ in range(400)]
    entities = [change(f"e{n}", 1, lat, lon, kind=pick.choice(KINDS)) for n, (lat, lon) in enumerate(places)]
    with psycopg.connect(database.app_dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO entities (id, kind, lat, lon, access_rule, access_owner) "
            "VALUES (%s, %s, %s, %s, 'public', 'owner')",
            [(one.id, one.kind, one.lat, one.lon) for one in entities],
        )
    shown = 0
    matchers = [Matcher(resolved), Matcher(resolved, 0)]
    async with AsyncConnectionPool(database.app_dsn, min_size=1, open=False) as pool:
        snapshots = SnapshotStore(pool, resolved, scan_limit=1000, max_entities=1000)
        for view in views:
            wanted = registration(
                south=view.bounds.south,
                west=view.bounds.west,
                north=view.bounds.north,
                east=view.bounds.east,
                zoom=view.zoom,
                kinds=view.kinds,
                rev=matchers[0].viewers["s"].registration.rev + 1 if matchers[0].viewers else 1,
            )
            rows, _ = await snapshots.snapshot("ann", [], view)
            stored = [row.id for row in rows]
            expected = {one.id for one in entities if sees(wanted, one, resolved)}
            assert len(stored) == len(set(stored)), "an entity came twice"
            assert set(stored) == expected
            for matcher in matchers:
                matcher.put(wanted, 0.0)
                assert {one.id for one in entities if matcher.match(None, one, 1.0)} == expected
            shown += len(expected)
    assert shown > 200


def _view(pick: random.Random) -> View:
    height, width = pick.choice([0.0, 0.5, 3.0, 40.0]), pick.choice([0.0, 0.7, 5.0, 120.0, 355.0])
    south, west = pick.uniform(-60, 40), pick.choice([pick.uniform(-180, 180), 179.9, -179.95])
    east = west + width
    return View(
        Bounds(west, south, east - 360 if east > 180 else east, south + height),
        zoom=pick.choice([0.0, 6.0, 12.0]),
        kinds=pick.choice([(), (), ("ship", "bus"), ("train",)]),
    )


def _place(pick: random.Random, rules: KindRules, views: list[View]) -> tuple[float, float]:
    """Somewhere in the box of a view after a margin, or on its edge."""
    bounds = pick.choice(views).bounds
    margin = pick.choice(rules.margins)
    box = pick.choice(boxes(bounds.south, bounds.west, bounds.north, bounds.east, margin))
    lat = pick.choice([box.south, box.north, pick.uniform(box.south, box.north)])
    return lat, pick.choice([box.west, box.east, pick.uniform(box.west, box.east)])
