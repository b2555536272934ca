"""The table, for a terminal and for docs/benchmarks/realtime.md, from the records of a run."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any, Final

from benchmarks.realtime.build import HERE
from benchmarks.realtime.candidates import BARE, GATEWAY, LIMIT, OLD, PLAIN, TITLES
from benchmarks.realtime.pictures import Axis, Line, chart

DOCS: Final = HERE.parents[1] / "docs" / "benchmarks"
_KINDS: Final = (OLD, PLAIN, GATEWAY, BARE, LIMIT)


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [f"machine  {found['machine']}", f"commit   {found['commit']}"]
    for figure in found["figures"]:
        lines.append(f"{figure['name']}   [target {figure['target'] or '-'}: {verdict(figure)}]")
        values = figure["values"]
        shown = [f"{kind} {value(values[kind], figure['unit'])}" for kind in _KINDS if kind in values]
        lines.append("    " + " · ".join(shown) + (f"  ({figure['note']})" if figure["note"] else ""))
    return "\n".join([*lines, noise(found)])


def verdict(figure: dict[str, Any]) -> str:
    """The ratio and whether the target was reached."""
    parts = []
    if figure["ratio"] is not None:
        parts.append(f"{figure['ratio']:.2f} × old")
    if figure["reached"] is not None:
        parts.append("reached" if figure["reached"] else "**missed**")
    return ", ".join(parts) or "measured"


def value(of: dict[str, Any], unit: str) -> str:
    """A median with the spread of its runs."""

    def number(one: float) -> str:
        return f"{one:,.0f}" if abs(one) >= 100 or one == int(one) else f"{one:.3g}"

    spread = "" if of["low"] == of["high"] else f" ({number(of['low'])}–{number(of['high'])})"
    return f"{number(of['median'])}{' ' + unit if unit else ''}{spread}"


def noise(found: dict[str, Any]) -> str:
    """How much others used of the machine, and the host took, while it was measured."""
    records = [record for many in found["records"].values() for record in many if "other_cores" in record]
    if not records:
        return ""
    others = [max(record["other_cores"], 0.0) for record in records]
    steal = [record["steal_cores"] for record in records]
    return (
        f"others used {statistics.median(others):.2f} cores (at most {max(others):.2f}), "
        f"the host took {statistics.median(steal):.2f} (at most {max(steal):.2f}) of {len(records)} runs"
    )


# --- the page -------------------------------------------------------------------------------------


def write_docs(found: dict[str, Any]) -> None:
    """Write the page and its pictures."""
    DOCS.mkdir(parents=True, exist_ok=True)
    pictures = {"clients.svg": _clients(found), "latency.svg": _latency(found)}
    for name, picture in pictures.items():
        if picture:
            (DOCS / name).write_text(picture)
    (DOCS / "realtime.md").write_text(_page(found, [name for name, picture in pictures.items() if picture]))


def _page(found: dict[str, Any], pictures: list[str]) -> str:
    head = ["figure", "target", OLD, PLAIN, "ours", LIMIT, "ratio, verdict"]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for figure in found["figures"]:
        unit = figure["unit"]
        cells = [figure["name"], figure["target"]]
        for kind in (OLD, PLAIN, GATEWAY, LIMIT):
            shown = figure["values"].get(kind)
            cells.append(value(shown, unit) if shown else "")
        if BARE in figure["values"]:
            cells[4] += f"; bare Granian {value(figure['values'][BARE], unit)}"
        cells.append(verdict(figure) + (f" ({figure['note']})" if figure["note"] else ""))
        rows.append(f"| {' | '.join(cells)} |")
    about = (HERE / "about.md").read_text()
    return about.format(
        table="\n".join(rows),
        machine=found["machine"],
        commit=found["commit"],
        noise=noise(found),
        kinds="\n".join(f"- **{kind}**: {title}" for kind, title in TITLES.items()),
        pictures="\n\n".join(f"![{name.removesuffix('.svg')}]({name})" for name in pictures),
    )


def _points(found: dict[str, Any], name: str, x: str, y: str) -> list[tuple[float, float]]:
    groups: defaultdict[float, list[float]] = defaultdict(list)
    for record in found["records"].get(name, []):
        groups[record[x]].append(record[y])
    return sorted((at, statistics.median(values)) for at, values in groups.items())


def _clients(found: dict[str, Any]) -> str:
    lines = [
        Line(title, points)
        for kind, title in ((GATEWAY, "Slipway, tick 50 ms"), (OLD, "old design"))
        if (points := _points(found, f"clients {kind}", "clients", "cores"))
    ]
    if not lines:
        return ""
    title = "Cores of server + Redis, each client sent 8.3 user messages a second"
    return chart(title, Axis("clients"), Axis("cores"), lines)


def _latency(found: dict[str, Any]) -> str:
    curves = (
        (f"load 50 {GATEWAY}", "Slipway, tick 50 ms"),
        (f"load 0 {OLD}", "old design"),
        (f"load 0 {GATEWAY}", "Slipway, tick 0"),
    )
    lines = [
        Line(title, points)
        for name, title in curves
        if (points := _points(found, name, "delivered", "p99_ms"))
    ]
    if not lines:
        return ""
    title = "Delivery p99 against load, 3,000 clients"
    return chart(title, Axis("user messages delivered per second", log=True), Axis("ms", log=True), lines)
