"""The table, for a terminal and for docs/benchmarks/realtime.md, from the records of a run."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.realtime.build import HERE
from benchmarks.realtime.candidates import BARE, GATEWAY, LIMIT, OLD, PLAIN

DOCS: Final = HERE.parents[1] / "docs" / "benchmarks"
_KINDS: Final = (OLD, PLAIN, GATEWAY, BARE, LIMIT)


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    lines = []
    for figure in found["figures"]:
        lines.append(f"{figure['name']}   [target {figure['target'] or '-'}: {verdict(figure)}]")
        shown = [
            f"{kind} {_value(figure['values'][kind], figure['unit'])}"
            for kind in _KINDS
            if kind in figure["values"]
        ]
        lines.append("    " + " · ".join(shown) + ("" if figure["note"] == "" else f"  ({figure['note']})"))
    return "\n".join(lines)


def verdict(figure: dict[str, Any]) -> str:
    """The ratio and whether the target was reached."""
    parts = []
    if figure["ratio"] is not None:
        parts.append(f"{figure['ratio']:.2f} × old")
    if figure["reached"] is not None:
        parts.append("reached" if figure["reached"] else "missed")
    return ", ".join(parts) or "measured"


def _value(value: dict[str, Any], unit: str) -> str:
    def number(one: float) -> str:
        return f"{one:,.0f}" if abs(one) >= 100 or one == int(one) else f"{one:.3g}"

    spread = "" if value["low"] == value["high"] else f" ({number(value['low'])}–{number(value['high'])})"
    return f"{number(value['median'])}{' ' + unit if unit else ''}{spread}"


def write_docs(found: dict[str, Any]) -> None:
    """Write the page and its pictures."""
    raise NotImplementedError
