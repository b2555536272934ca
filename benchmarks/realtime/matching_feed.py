"""Puts changes on the stream at a steady rate, as the outbox does: `matching`'s other process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import redis

from apps.contracts import entities
from apps.contracts.entities import ENTITY_FIELD, ENTITY_STREAM, Access, EntityChanged

SLICE_SECONDS = 0.01


def feed(port: int, points: list[list[float]], rate: int, seconds: float) -> None:
    """Each point is an entity that moves by some hundred metres each time."""
    client = redis.Redis(host="127.0.0.1", port=port)
    begun = time.monotonic()
    sent = 0
    while sent < rate * seconds:
        due = min(int((time.monotonic() - begun) * rate), int(rate * seconds))
        pipeline = client.pipeline(transaction=False)
        for number in range(sent, due):
            version, entity = divmod(number, len(points))
            lat, lon = points[entity]
            change = EntityChanged(
                f"e{entity}",
                version + 1,
                "aircraft",
                lat + version % 5 * 0.002,
                lon,
                time.time_ns() // 1_000_000,
                90.0,
                {"callsign": "SWR12", "altitude": 11_000, "name": "x" * 60},
                Access("public", "owner"),
            )
            pipeline.xadd(ENTITY_STREAM, {ENTITY_FIELD: entities.encode(change)})
        if due > sent:
            pipeline.execute()
        sent = due
        time.sleep(SLICE_SECONDS)


if __name__ == "__main__":
    feed(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3]), float(sys.argv[4]))
