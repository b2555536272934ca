"""The page of the tier's metrics, generated from their catalogue by `make schema`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apps.contracts import metrics
from apps.contracts.metrics import DIMENSIONS, NAMESPACE, SERVICES, STATISTIC, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.contracts.metrics import Metric

PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "realtime-metrics.md"
_SHARED: Final = "every process"


def rendered() -> str:
    """The page as the file holds it."""
    lines = [
        "# Metrics of the realtime tier",
        "",
        "Generated from `apps/contracts/metrics.py` by `make schema`; do not edit.",
        "",
        f"CloudWatch namespace `{NAMESPACE}`, dimensions `{'` and `'.join(DIMENSIONS)}` (its name).",
        "One line a minute and task; the statistic is the one that the dashboard shows.",
        "A figure that nothing happened to is absent, not zero.",
        "",
    ]
    for title, listed in (*SERVICES.items(), (_SHARED, metrics.PROCESS)):
        head = ("| metric | unit | kind | statistic | meaning |", "|---|---|---|---|---|")
        lines += [f"## {title}", "", *head, *_rows(title, listed), ""]
    return "\n".join(lines)


def _rows(title: str, listed: tuple[Metric, ...]) -> Iterator[str]:
    for metric in listed:
        if metric in metrics.PROCESS and title != _SHARED:
            continue
        statistic = "p50, p99" if metric.kind is Kind.VALUES else STATISTIC[metric.kind]
        unit = "" if metric.unit == "None" else metric.unit
        yield f"| `{metric.name}` | {unit} | {metric.kind} | {statistic} | {metric.description} |"


def main() -> int:
    """Write the page."""
    PATH.write_text(rendered(), encoding="utf-8")
    sys.stdout.write(f"{PATH}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
