"""A bill as words, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lab.cost.bill import Bill, By, Row
from lab.output import Output

_WIDTH: Final = 11
_SHOWN: Final = 20  # rows of --by resource; the rest is one row
_LISTED: Final = 10
_HEADS: Final = ("baseline", "usage", "total", "exposure", "unpriced")


def usd(amount: float) -> str:
    """Dollars and cents."""
    return f"{amount:,.2f}"


def document(bill: Bill, by: By) -> dict[str, Any]:
    """The bill for `--json`."""
    return {
        "stack": bill.stack,
        "resources": bill.resources,
        "budget_usd": bill.budget,
        "within_budget": not bill.over,
        **bill.estimate.document(),
        "declared": dict(bill.declared),
        "by": by,
        "rows": [row_document(row) for row in bill.rows(by)],
    }


def row_document(row: Row) -> dict[str, Any]:
    """The four figures of one part."""
    return {
        "name": row.name,
        "baseline_usd": round(row.baseline, 2),
        "usage_usd": round(row.usage, 2),
        "total_usd": round(row.total, 2),
        "exposure_usd": round(row.exposure, 2),
        "unpriced": list(row.unpriced),
    }


def text(bill: Bill, by: By, output: Output) -> str:
    """The bill for a person: a row per part, the whole, the budget, and what the figures leave out."""
    head = f"stack {bill.stack}: {bill.resources} resources in {bill.estimate.region}, US dollars a month"
    rows = [*_shortened(bill.rows(by)), Row("all", *_figures(bill.whole), bill.whole.unpriced)]
    width = max(12, *(len(row.name) for row in rows))
    columns = f"  {by:<{width}}" + "".join(f"{word:>{_WIDTH}}" for word in _HEADS)
    lines = [output.paint(head, "bold"), "", output.paint(columns, "dim")]
    lines.extend(_line(row, width) for row in rows[:-1])
    lines.append(output.paint(_line(rows[-1], width), "bold"))
    lines.extend(["", _against_budget(bill, output), *_left_out(bill)])
    return "\n".join(lines)


def _figures(row: Row) -> tuple[float, float, float]:
    return row.baseline, row.usage, row.exposure


def _line(row: Row, width: int) -> str:
    numbers = "".join(
        f"{usd(amount):>{_WIDTH}}" for amount in (row.baseline, row.usage, row.total, row.exposure)
    )
    return f"  {row.name:<{width}}{numbers}{len(row.unpriced) or '-':>{_WIDTH}}"


def _shortened(rows: Sequence[Row]) -> list[Row]:
    if len(rows) <= _SHOWN:
        return list(rows)
    rest = rows[_SHOWN:]
    sums = [sum(figures) for figures in zip(*(_figures(row) for row in rest), strict=True)]
    lacking = tuple(label for row in rest for label in row.unpriced)
    return [*rows[:_SHOWN], Row(f"{len(rest)} more", sums[0], sums[1], sums[2], lacking)]


def _against_budget(bill: Bill, output: Output) -> str:
    if bill.budget is None:
        return f"{output.paint('no budget', 'yellow')}: the stack has no slipway:budget"
    share = bill.estimate.total / bill.budget
    ceiling = f"at every ceiling {bill.estimate.exposure / bill.budget:.1f} x the budget"
    mark = output.paint("over", "red", "bold") if bill.over else output.paint("within", "green", "bold")
    return f"{mark} the budget of ${usd(bill.budget)}: {share:.0%} of it; {ceiling}"


def _left_out(bill: Bill) -> Iterable[str]:
    """What is not in the sums, and what in them is doubtful."""
    result = bill.estimate
    for each in result.unpriced[:_LISTED]:
        yield f"no price: {each.label}: {each.why} (not in the sums)"
    if len(result.unpriced) > _LISTED:
        yield f"no price: {len(result.unpriced) - _LISTED} more; --json lists all"
    for price, urns in sorted(result.undeclared.items()):
        plural = "s" if len(urns) > 1 else ""
        yield f"no use declared: {price} of {len(urns)} resource{plural} (not in the sums)"
    if result.unverified():
        yield f"prices not traced to AWS: {', '.join(result.unverified())}"
    oldest = result.oldest()
    if oldest is not None:
        yield f"the oldest price is of {oldest.date} ({oldest.id})"


def markdown(bill: Bill, by: By) -> str:
    """The bill as a table for a pull request."""
    whole = Row("**all**", *_figures(bill.whole), bill.whole.unpriced)
    lines = [
        f"### Cost of `{bill.stack}`, US dollars a month",
        "",
        f"| {by} | {' | '.join(_HEADS)} |",
        f"|---|{'---:|' * len(_HEADS)}",
        *(_cells(row) for row in [*_shortened(bill.rows(by)), whole]),
        "",
        _against_budget(bill, Output(color=False)),
        "",
        *(f"- {line}" for line in _left_out(bill)),
    ]
    return "\n".join(lines).rstrip()


def _cells(row: Row) -> str:
    amounts = [usd(each) for each in (row.baseline, row.usage, row.total, row.exposure)]
    return f"| {row.name} | {' | '.join(amounts)} | {len(row.unpriced) or '-'} |"
