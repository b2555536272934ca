"""The estimate beside what AWS billed: a Cost Explorer or Cost and Usage Report export, summed by tag."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.cost.bill import Bill
from lab.cost.report import usd
from lab.errors import LabError
from lab.output import Output
from policies.pricing.tiers import NO_TIER

_COSTS: Final = ("lineItem/UnblendedCost", "line_item_unblended_cost")
_DAYS: Final = ("lineItem/UsageStartDate", "line_item_usage_start_date")
_DATE: Final = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_HINT: Final = "export Cost Explorer grouped by the tag `tier`, or the CUR as CSV with that tag"
_TAG: Final = "tier"


@dataclass(frozen=True)
class Actual:
    """What AWS billed for one tag's value in an average month."""

    tag: str
    usd: float


@dataclass(frozen=True)
class Export:
    """The sums of a file."""

    kind: str
    months: tuple[str, ...]
    by_tag: Mapping[str, float]  # dollars of all months


def read(path: Path, stack: str) -> Export:
    """The export, whichever of the formats it has."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabError(f"{path} cannot be read", cause=str(error), hint=_HINT, code="actual") from error
    if len(rows) < 2:
        raise LabError(f"{path.name} has no line of costs", hint=_HINT, code="actual")
    head = [cell.strip() for cell in rows[0]]
    try:
        export = (
            _report(head, rows[1:], stack) if set(_COSTS) & set(head) else _explorer(head, rows[1:], path)
        )
    except ValueError as error:
        raise LabError(
            f"{path.name} has a cost that is no number", cause=str(error), hint=_HINT, code="actual"
        ) from error
    if not export.months:
        raise LabError(f"{path.name} has no line of a month", hint=_HINT, code="actual")
    return export


def _report(head: Sequence[str], rows: Iterable[Sequence[str]], stack: str) -> Export:
    """A line per resource and hour; tags are columns, or one column of JSON."""
    cost = head.index(next(each for each in _COSTS if each in head))
    day = head.index(next(each for each in _DAYS if each in head)) if set(_DAYS) & set(head) else None
    sums: dict[str, float] = {}
    months: set[str] = set()
    for row in rows:
        tags = _tags(head, row)
        if tags.get("stack", stack) != stack:
            continue
        months.add(row[day][:7] if day is not None else "?")
        tag = tags.get(_TAG) or NO_TIER
        sums[tag] = sums.get(tag, 0.0) + float(row[cost] or 0)
    return Export("Cost and Usage Report", tuple(sorted(months)), sums)


def _tags(head: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, cell in zip(head, row, strict=False):
        if name == "resource_tags" and cell.strip().startswith("{"):
            found.update({_tag_name(key): str(value) for key, value in json.loads(cell).items()})
        elif name.startswith(("resourceTags/", "resource_tags_")) and cell:
            found[_tag_name(name)] = cell
    return found


def _tag_name(column: str) -> str:
    """`tier` of `resourceTags/user:tier`, `resource_tags_user_tier` and `user_tier`."""
    return re.sub(r"^(resourceTags/|resource_tags_)?user[:_]", "", column)


def _explorer(head: Sequence[str], rows: Iterable[Sequence[str]], path: Path) -> Export:
    """A column per value of the tag, a row per period; the row and the column of sums are left out."""
    columns = {
        index: _explorer_tag(name)
        for index, name in enumerate(head)
        if index and name.endswith("($)") and not name.lower().startswith("total costs")
    }
    if not columns:
        raise LabError(
            f"{path.name} is neither a Cost Explorer nor a Cost and Usage Report export",
            cause=f"its columns are {', '.join(head[:6])}",
            hint=_HINT,
            code="actual",
        )
    sums: dict[str, float] = {}
    months: set[str] = set()
    for row in rows:
        if not _DATE.fullmatch(row[0].strip()):
            continue
        months.add(row[0].strip()[:7])
        for index, tag in columns.items():
            cell = row[index].replace(",", "").strip() if index < len(row) else ""
            sums[tag] = sums.get(tag, 0.0) + float(cell or 0)
    return Export("Cost Explorer", tuple(sorted(months)), sums)


def _explorer_tag(column: str) -> str:
    name = column.removesuffix("($)").strip()
    if name.lower().startswith(("no tag", "no tagkey")) or name == f"{_TAG}$":
        return NO_TIER
    return name.removeprefix(f"{_TAG}$")


def rows(bill: Bill, export: Export) -> list[tuple[str, float, float]]:
    """Tier, estimated and billed dollars of an average month, the largest difference first."""
    estimated = {row.name: row.total for row in bill.rows("tier")}
    billed = {tag: amount / len(export.months) for tag, amount in export.by_tag.items()}
    found = [(tier, estimated.get(tier, 0.0), billed.get(tier, 0.0)) for tier in {*estimated, *billed}]
    return sorted(found, key=lambda row: (-abs(row[2] - row[1]), row[0]))


def document(bill: Bill, export: Export) -> dict[str, Any]:
    """For `--json`."""
    return {
        "stack": bill.stack,
        "export": export.kind,
        "months": list(export.months),
        "tiers": [
            {"name": tier, "estimated_usd": round(ours, 2), "billed_usd": round(theirs, 2)}
            for tier, ours, theirs in rows(bill, export)
        ],
    }


def text(bill: Bill, export: Export, output: Output) -> str:
    """For a person."""
    table = rows(bill, export)
    whole = ("all", sum(row[1] for row in table), sum(row[2] for row in table))
    width = max(12, *(len(row[0]) for row in table))
    span = export.months[0] if len(export.months) == 1 else f"{export.months[0]} to {export.months[-1]}"
    head = f"  {'tier':<{width}}{'estimated':>12}{'billed':>12}{'difference':>12}{'':>8}"
    lines = [
        output.paint(
            f"stack {bill.stack}: estimate beside {export.kind}, {span}, US dollars a month", "bold"
        ),
        "",
        output.paint(head.rstrip(), "dim"),
        *(_line(row, width) for row in table),
        output.paint(_line(whole, width), "bold"),
    ]
    if any(tier == NO_TIER and billed for tier, _, billed in table):
        lines.extend(["", f"{NO_TIER}: billed without the tag; activate it for cost allocation"])
    return "\n".join(lines)


def _line(row: tuple[str, float, float], width: int) -> str:
    tier, ours, theirs = row
    share = f"{theirs / ours - 1:+.0%}" if ours >= 0.005 else "-"
    return f"  {tier:<{width}}{usd(ours):>12}{usd(theirs):>12}{theirs - ours:>+12,.2f}{share:>8}"
