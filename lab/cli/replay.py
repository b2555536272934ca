"""`slipway replay`: feed recorded tracks to a stack through its public API."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from typing import Any

from lab.cli.common import seconds
from lab.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_OK
from lab.output import Output
from lab.replay import reader, tokens
from lab.replay.recording import GAP_SECONDS, Recording
from lab.replay.sender import TokenSource
from lab.replay.service import Plan, Status, replay

EXAMPLES = """\
slipway replay                          the built-in recordings, for ever
slipway replay flights.csv --speed 20   your own tracks, twenty times as fast
slipway replay ais.jsonl.gz --loop --url https://map.example.com --token "$TOKEN"
"""
ABOUT = """\
A track file is CSV (first line: column names) or JSON lines, plain or .gz, with id, time (ISO 8601 or epoch),
lat and lon; heading and kind if there are any; every other column becomes an attribute. A line that cannot be
used is counted and reported with its number; the others are played.
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "replay", help="feed recorded tracks to a running stack", examples=EXAMPLES, epilog=ABOUT
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help=f"track files, or built in: {', '.join(reader.built_in())}"
    )
    parser.add_argument(
        "--source", action="append", default=[], metavar="FILE", help="the same, as a flag; may be repeated"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=None,
        help="times real speed (default: 10 for built-in tracks, 1 for yours)",
    )
    parser.add_argument(
        "--loop", action="store_true", help="start over at the end (built-in tracks always do)"
    )
    parser.add_argument(
        "--fold",
        type=_fold,
        metavar="SECONDS",
        help="play parts of this length over each other, for a busier map; 0: as recorded",
    )
    parser.add_argument(
        "--start",
        type=_fold,
        metavar="SECONDS",
        help="begin so far into the recording (default: its busiest moment)",
    )
    parser.add_argument(
        "--gap", type=seconds, default=GAP_SECONDS, help="a hole longer than this ends a track (default: 120)"
    )
    parser.add_argument("--url", default=None, help="the API's address (default: the local stack)")
    parser.add_argument(
        "--token", default=None, help="bearer token (default: SLIPWAY_TOKEN, else the local stack's own)"
    )
    parser.add_argument(
        "--user", default="replay", help="whose token the local stack makes (default: replay)"
    )


def run(args: argparse.Namespace) -> int:
    """Read, play, send; exit 1 if a line or an entity was refused or something stayed on the map."""
    output: Output = args.output
    url = args.url or f"http://127.0.0.1:{os.environ.get('SLIPWAY_PORT', '8080')}"
    names = [*args.files, *args.source] or reader.built_in()
    recordings = tuple(reader.read(name, gap=args.gap) for name in names)
    for recording in recordings:
        _describe(output, recording)
    own = not all(recording.built_in for recording in recordings)
    plan = Plan(
        recordings,
        speed=args.speed or (1.0 if own else 10.0),
        loop=args.loop or not own,
        fold=args.fold,
        start=args.start,
    )
    given = args.token or os.environ.get("SLIPWAY_TOKEN")
    source = tokens.given(given) if given else tokens.from_front(url, args.user)
    output.say(f"replaying to {url} at {plan.speed:g}x; Ctrl-C ends it and takes its entities off the map")
    status, interrupted = asyncio.run(_played(plan, url, source, output, args.timeout))
    output.data(_document(recordings, status, url), status.line())
    for reason, count in status.reasons.items():
        output.warn(f"{count:,} refused by the API: {reason}")
    if status.left:
        output.warn(
            f"{status.left:,} entities could not be taken off the map: {status.trouble or 'no time left'}"
        )
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FINDINGS if status.left or status.counts.rejected or _broken(recordings) else EXIT_OK


async def _played(
    plan: Plan, url: str, source: TokenSource, output: Output, limit: float | None
) -> tuple[Status, bool]:
    stop, interrupted = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.set()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    if limit:
        loop.call_later(limit, stop.set)
    status = await replay(plan, url, source, stop=stop, report=lambda now: output.say(now.line()))
    return status, interrupted.is_set()


def _describe(output: Output, recording: Recording) -> None:
    output.say(
        f"{recording.name}: {recording.positions:,} positions of {recording.entities:,} entities"
        f" in {len(recording.tracks):,} tracks"
    )
    if recording.broken:
        shown = "\n".join(f"  {problem}" for problem in recording.problems)
        more = recording.broken - len(recording.problems)
        tail = f"\n  and {more:,} more" if more else ""
        output.warn(f"{recording.broken:,} of {recording.lines:,} lines cannot be used:\n{shown}{tail}")
    if recording.repeated:
        output.warn(
            f"{recording.repeated:,} lines repeat an earlier one's id and time; the later one is used"
        )


def _broken(recordings: tuple[Recording, ...]) -> int:
    return sum(recording.broken for recording in recordings)


def _document(recordings: tuple[Recording, ...], status: Status, url: str) -> dict[str, Any]:
    return {
        "url": url,
        "seconds": round(status.seconds, 1),
        "recordings": [
            {
                "name": recording.name,
                "positions": recording.positions,
                "entities": recording.entities,
                "tracks": len(recording.tracks),
                "lines": recording.lines,
                "broken": recording.broken,
                "repeated": recording.repeated,
                "problems": [
                    {"line": problem.line, "reason": problem.reason} for problem in recording.problems
                ],
            }
            for recording in recordings
        ],
        **status.counts.document(),
        "reasons": status.reasons,
        "left": status.left,
    }


def _speed(text: str) -> float:
    try:
        value = float(text.removesuffix("x"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed above 0 and up to 1000, such as 1 or 10")
    return value


def _fold(text: str) -> float:
    return 0.0 if text in {"0", "0s"} else seconds(text)
