"""The figures of the realtime path: what is run for each, and how its number and ratio come about."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.realtime.build import MissingError
from benchmarks.realtime.candidates import BARE, GATEWAY, LIMIT, OLD, PLAIN
from benchmarks.realtime.scenarios import SMOKE, frames, idle, intake, one_stalled, peak, storm

if TYPE_CHECKING:
    from benchmarks.realtime.scenarios import Record, Scale
    from benchmarks.realtime.world import World

Run = tuple[str, Callable[..., Awaitable[list[dict[str, Any]]]]]

#: Of the two curves.
CURVE_CLIENTS: Final = (1000, 2500, 5000, 10_000)
CURVE_RATES: Final = (1000, 5000, 10_000, 25_000, 50_000, 100_000, 200_000)


@dataclass(frozen=True)
class Value:
    """A median and how far the runs spread."""

    median: float
    low: float
    high: float
    runs: int

    @staticmethod
    def of(values: list[float]) -> Value:
        """Of all runs."""
        return Value(statistics.median(values), min(values), max(values), len(values))


@dataclass
class Figure:
    """One line of the table."""

    name: str
    target: str
    unit: str
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    #: Our figure against the old design's: above one is better.
    ratio: float | None = None
    reached: bool | None = None
    note: str = ""


@dataclass
class Results:
    """All records by what was run."""

    records: dict[str, list[Record]] = field(default_factory=dict[str, list[dict[str, Any]]])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def values(self, name: str, key: str, **where: object) -> Value | None:
        """The values of one key, None when nothing was measured."""
        found = [
            float(record[key])
            for record in self.records.get(name, [])
            if all(record.get(at) == wanted for at, wanted in where.items())
        ]
        return Value.of(found) if found else None


async def collect(world: World, scale: Scale, rounds: int, only: str, say: Callable[[str], None]) -> Results:
    """Run everything, candidates side by side in each round; one run for each point of a curve."""
    results = Results()
    todo = [*_in_rounds() * rounds, *_once()] if scale is not SMOKE else _in_smoke_test()
    for name, work in todo:
        if only not in name:
            continue
        try:
            curve = name.startswith(("clients", "load"))
            found = await work(world, replace(scale, runs=1) if curve else scale)
        except MissingError as problem:
            results.missing[name] = str(problem)
            say(f"{name}: not measured, {problem}")
            continue
        results.records.setdefault(name, []).extend(found)
        say(f"{name}: {_short(found)}")
    return results


def _frames(clients: int, kind: str) -> Run:
    return f"frames {clients} {kind}", partial(frames, kind=kind, clients=clients, tick=0, under_way=0.5)


def _in_smoke_test() -> list[Run]:
    return [_frames(1000, kind) for kind in (OLD, PLAIN, GATEWAY, LIMIT)]


def _in_rounds() -> list[Run]:
    runs = [_frames(clients, kind) for clients in (1000, 5000) for kind in (OLD, GATEWAY, PLAIN, LIMIT)]
    for under_way in (2.5, 20):
        work = partial(frames, kind=GATEWAY, clients=1000, tick=50, under_way=under_way)
        runs.append((f"coalesced {under_way:g} {GATEWAY}", work))
    at_peak = partial(peak, clients=10_000, active=3000, rates=[25_000])
    runs.append((f"peak {OLD}", partial(at_peak, kind=OLD, tick=0)))
    runs += [(f"peak {tick} {GATEWAY}", partial(at_peak, kind=GATEWAY, tick=tick)) for tick in (50, 100)]
    for kind in (OLD, GATEWAY):
        runs.append((f"storm {kind}", partial(storm, kind=kind, clients=10_000)))
        runs.append((f"intake {kind}", partial(intake, kind=kind, clients=1000, rate=1000)))
    return runs


def _once() -> list[Run]:
    runs: list[Run] = [(f"idle {kind}", partial(idle, kind=kind, clients=15_000)) for kind in (BARE, GATEWAY)]
    runs += [(f"stalled {kind}", partial(one_stalled, kind=kind)) for kind in (OLD, PLAIN, GATEWAY)]
    for clients in CURVE_CLIENTS:
        rates = [clients * 25_000 / 3000]
        for kind in (OLD, GATEWAY):
            work = partial(peak, kind=kind, clients=clients, active=clients, rates=rates, tick=50)
            runs.append((f"clients {kind}", work))
    for kind, tick, most in ((OLD, 0, 50_000), (GATEWAY, 0, 50_000), (GATEWAY, 50, 200_000)):
        rates = [rate for rate in CURVE_RATES if rate <= most]
        work = partial(peak, kind=kind, clients=3000, active=3000, rates=rates, tick=tick)
        runs.append((f"load {tick} {kind}", work))
    return runs


def _short(found: list[Record]) -> str:
    shown = (
        "per_core",
        "cores",
        "p99_ms",
        "seconds",
        "microseconds",
        "ready",
        "lost",
        "kb_per_connection",
        "server_cores",
        "peak_mb",
        "healthy_lost",
        "other_cores",
        "steal_cores",
    )
    last = found[-1]
    return ", ".join(
        f"{key} {last[key]:,.3g}" if last[key] < 1000 else f"{key} {last[key]:,.0f}"
        for key in shown
        if key in last
    )


def table(results: Results) -> list[Figure]:
    """Make the lines of the table of what was measured."""
    made: list[Figure] = []
    for clients, wanted in ((1000, 2.3), (5000, 1.5)):
        made.append(
            _rate(
                results,
                f"user messages per gateway core-second, tick 0, {clients:,} clients",
                wanted,
                {kind: f"frames {clients} {kind}" for kind in (OLD, PLAIN, GATEWAY, LIMIT)},
            )
        )
    for under_way, wanted in ((2.5, 4), (20, 15)):
        made.append(
            _rate(
                results,
                f"the same, {under_way:g} per user and 50 ms tick, 1,000 clients",
                wanted,
                {OLD: f"frames 1000 {OLD}", GATEWAY: f"coalesced {under_way:g} {GATEWAY}"},
            )
        )
    for tick, most in ((50, 0.65), (100, 0.55)):
        line = Figure(
            f"cores of gateway + Redis, 10,000 open, 3,000 active, 25,000 user messages/s, tick {tick} ms",
            f"≤ {most}",
            "cores",
        )
        _fill(results, line, "cores", {OLD: f"peak {OLD}", GATEWAY: f"peak {tick} {GATEWAY}"})
        _judge(line, GATEWAY, at_most=most, lower_is_better=True)
        made.append(line)
        late = Figure(f"delivery p99 there, tick {tick} ms", f"≤ {tick + 15} ms", "ms")
        _fill(results, late, "p99_ms", {OLD: f"peak {OLD}", GATEWAY: f"peak {tick} {GATEWAY}"})
        _judge(late, GATEWAY, at_most=tick + 15)
        made.append(late)
    made += [*_idle(results), *_storms(results), _intake(results), *_stalled(results)]
    return [line for line in made if line.values]


def _fill(results: Results, line: Figure, key: str, names: dict[str, str], **where: object) -> None:
    for kind, name in names.items():
        value = results.values(name, key, **where)
        if value is not None:
            line.values[kind] = value
        elif name in results.missing:
            line.note = f"{kind}: {results.missing[name]}"


def _judge(line: Figure, kind: str, *, at_most: float | None = None, lower_is_better: bool = False) -> None:
    ours, old = line.values.get(kind), line.values.get(OLD)
    if ours is None:
        return
    if old is not None and lower_is_better and ours.median > 0:
        line.ratio = old.median / ours.median
    if at_most is not None:
        line.reached = ours.median <= at_most


def _rate(results: Results, name: str, wanted: float, names: dict[str, str]) -> Figure:
    line = Figure(name, f"≥ {wanted:g} × old", "1/s")
    _fill(results, line, "per_core", names)
    ours, old = line.values.get(GATEWAY), line.values.get(OLD)
    if ours is not None and old is not None:
        line.ratio = ours.median / old.median
        line.reached = line.ratio >= wanted
    return line


def _idle(results: Results) -> list[Figure]:
    name = f"idle {GATEWAY}"
    held = Figure("15,000 idle connections: held", "all", "")
    _fill(results, held, "ready", {GATEWAY: name, BARE: f"idle {BARE}"})
    wanted = results.values(name, "clients")
    if wanted is not None:
        held.reached = held.values[GATEWAY].median >= wanted.median
    cores = Figure("15,000 idle connections: cores (heartbeats and renewals included)", "~ 0", "cores")
    _fill(results, cores, "server_cores", {GATEWAY: name, BARE: f"idle {BARE}"})
    memory = Figure("memory per connection", "≤ 170 KB", "KB")
    _fill(results, memory, "kb_per_connection", {GATEWAY: name, BARE: f"idle {BARE}"})
    _judge(memory, GATEWAY, at_most=170)
    return [held, cores, memory]


def _storms(results: Results) -> list[Figure]:
    lines: list[Figure] = []
    for look, what, target in ((False, "identified", "≤ 10 s"), (True, "with viewport and snapshot", "")):
        line = Figure(f"10,000 reconnects at once: until all are {what}", target, "s")
        _fill(results, line, "seconds", {GATEWAY: f"storm {GATEWAY}"}, look=look)
        if not look:
            _fill(results, line, "seconds", {OLD: f"storm {OLD}"})
            _judge(line, GATEWAY, at_most=10, lower_is_better=True)
        lines.append(line)
    lost = Figure("10,000 reconnects at once: lost", "0", "")
    _fill(results, lost, "lost", {OLD: f"storm {OLD}", GATEWAY: f"storm {GATEWAY}"})
    _judge(lost, GATEWAY, at_most=0)
    return [*lines, lost]


def _intake(results: Results) -> Figure:
    line = Figure("a viewport in: CPU of server + Redis", "as measured", "µs")
    _fill(results, line, "microseconds", {OLD: f"intake {OLD}", GATEWAY: f"intake {GATEWAY}"})
    _judge(line, GATEWAY, lower_is_better=True)
    return line


def _stalled(results: Results) -> list[Figure]:
    names = {kind: f"stalled {kind}" for kind in (OLD, PLAIN, GATEWAY)}
    memory = Figure("one client that never reads: memory at most", "≤ 2 MB", "MB")
    _fill(results, memory, "peak_mb", names)
    _judge(memory, GATEWAY, at_most=2)
    lost = Figure("one client that never reads: messages a healthy one lost", "0", "")
    _fill(results, lost, "healthy_lost", names)
    _judge(lost, GATEWAY, at_most=0)
    return [memory, lost]
