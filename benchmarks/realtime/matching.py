"""Matching cost: one change against N viewports around 20 cities, moved a little each time (median CPU).

Run: `python -m benchmarks.realtime.matching [viewports]`.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from apps.contracts.bus import Registration
from apps.contracts.entities import EntityChanged
from apps.filter_processor.engine import Engine
from apps.filter_processor.matcher import Matcher


def main() -> None:
    """Print one line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    pick = random.Random(7)
    cities = [(pick.uniform(-60, 60), pick.uniform(-170, 170)) for _ in range(20)]
    matcher = Matcher()
    for n in range(count):
        lat, lon = pick.choice(cities)
        lat, lon, half = lat + pick.gauss(0, 0.1), lon + pick.gauss(0, 0.1), pick.uniform(0.005, 0.1)
        matcher.put(
            Registration(
                session=f"s{n}",
                slot=n,
                rev=n + 1,
                gateway=f"g{n % 4}",
                user=f"u{n}",
                groups=(),
                zoom=12.0,
                ttl_ms=10**9,
                south=lat - half,
                west=lon - half,
                north=lat + half,
                east=lon + half,
            ),
            0.0,
        )
    places = [(lat + pick.gauss(0, 0.1), lon + pick.gauss(0, 0.1)) for lat, lon in cities * 10]
    changes: list[EntityChanged] = []
    for version in range(1, 6):
        changes += [
            EntityChanged(
                f"e{n}", version, "aircraft", lat + version * 0.002, lon, 0, 90.0, {"callsign": "SWR12"}
            )
            for n, (lat, lon) in enumerate(places)
        ]
    scans: list[float] = []
    for one in changes:
        begun = time.process_time()
        matcher.match(None, one, 1.0)
        scans.append(time.process_time() - begun)
    engine = Engine(matcher, 1000)
    whole: list[float] = []
    for one in changes:
        begun = time.process_time()
        list(engine.apply(one, 1.0))
        whole.append(time.process_time() - begun)
    per_change = engine.counts.deliveries / len(changes)
    moved = whole[len(places) :]
    print(
        f"{count} viewports: match {statistics.median(scans) * 1e6:.1f} us, "
        f"move with state, encoding and who lost it {statistics.median(moved) * 1e6:.1f} us, "
        f"{per_change:.1f} deliveries per change"
    )


if __name__ == "__main__":
    main()
