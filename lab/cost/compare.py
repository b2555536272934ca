"""What a change costs: the bills of two commits, resource by resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lab.cost.at import Priced
from lab.cost.report import usd
from lab.output import Output

_CENT: Final = 0.005
_SHOWN: Final = 30


@dataclass(frozen=True)
class Difference:
    """One resource whose price changed."""

    urn: str
    label: str
    before: float
    after: float
    exposure: float  # how much more or less at the ceiling
    kind: Literal["new", "gone", "changed"]

    @property
    def usd(self) -> float:
        """Dollars a month."""
        return self.after - self.before


def differences(before: Iterable[Priced], after: Iterable[Priced]) -> list[Difference]:
    """The largest first; what costs the same is left out."""
    old = {each.urn: each for each in before}
    new = {each.urn: each for each in after}
    found: list[Difference] = []
    for urn in sorted({*old, *new}):
        was, now = old.get(urn), new.get(urn)
        label = now.label if now else was.label if was else urn
        exposure = (now.exposure if now else 0.0) - (was.exposure if was else 0.0)
        each = Difference(
            urn,
            label,
            was.usd if was else 0.0,
            now.usd if now else 0.0,
            exposure,
            "new" if was is None else "gone" if now is None else "changed",
        )
        if abs(each.usd) >= _CENT or abs(exposure) >= _CENT:
            found.append(each)
    return sorted(found, key=lambda each: (-abs(each.usd), -abs(each.exposure), each.urn))


def document(ref: str, before: Sequence[Priced], after: Sequence[Priced]) -> dict[str, Any]:
    """For `--json`."""
    return {
        "compared_with": ref,
        "before_usd": round(sum(each.usd for each in before), 2),
        "after_usd": round(sum(each.usd for each in after), 2),
        "difference_usd": round(sum(each.usd for each in after) - sum(each.usd for each in before), 2),
        "differences": [
            {
                "urn": each.urn,
                "label": each.label,
                "kind": each.kind,
                "before_usd": round(each.before, 2),
                "after_usd": round(each.after, 2),
                "difference_usd": round(each.usd, 2),
                "exposure_difference_usd": round(each.exposure, 2),
            }
            for each in differences(before, after)
        ],
    }


def text(stack: str, ref: str, before: Sequence[Priced], after: Sequence[Priced], output: Output) -> str:
    """For a person."""
    found = differences(before, after)
    old, new = sum(each.usd for each in before), sum(each.usd for each in after)
    lines = [
        output.paint(
            f"stack {stack}: ${usd(old)} at {ref}, ${usd(new)} now: {signed(new - old)} a month", "bold"
        )
    ]
    if not found:
        return "\n".join([*lines, "", "no resource costs more or less"])
    width = max(len(each.label) for each in found[:_SHOWN])
    head = f"  {'resource':<{width}}{'before':>12}{'after':>12}{'change':>12}{'exposure':>12}"
    lines.extend(["", output.paint(head, "dim")])
    lines.extend(
        f"  {each.label:<{width}}{_amount(each.before, each.kind == 'new'):>12}"
        f"{_amount(each.after, each.kind == 'gone'):>12}{signed(each.usd):>12}{signed(each.exposure):>12}"
        for each in found[:_SHOWN]
    )
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more; --json lists all")
    return "\n".join(lines)


def markdown(stack: str, ref: str, before: Sequence[Priced], after: Sequence[Priced]) -> str:
    """For a pull request."""
    found = differences(before, after)
    old, new = sum(each.usd for each in before), sum(each.usd for each in after)
    lines = [
        f"### Cost of `{stack}`: {signed(new - old)} US dollars a month",
        "",
        f"{usd(old)} at `{ref}`, {usd(new)} now.",
    ]
    if found:
        lines.extend(
            ["", "| resource | before | after | change | at the ceiling |", "|---|---:|---:|---:|---:|"]
        )
    lines.extend(
        f"| {each.label} | {_amount(each.before, each.kind == 'new')} "
        f"| {_amount(each.after, each.kind == 'gone')} | {signed(each.usd)} | {signed(each.exposure)} |"
        for each in found[:_SHOWN]
    )
    if len(found) > _SHOWN:
        lines.append(f"\nand {len(found) - _SHOWN} more")
    return "\n".join(lines)


def _amount(amount: float, absent: bool) -> str:
    return "-" if absent else usd(amount)


def signed(amount: float) -> str:
    """With its sign, and no -0.00."""
    return f"{amount if abs(amount) >= _CENT else 0.0:+,.2f}"
