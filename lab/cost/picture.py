"""A bill as an SVG: a bar per tier and one of the whole, against the budget."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from lab.cost.bill import Bill, Row
from lab.cost.report import usd

_WIDTH: Final = 860
_LEFT: Final = 130
_RIGHT: Final = 90
_BAR: Final = 22
_ROW: Final = 38
_TOP: Final = 70
# told apart without colour, too: by lightness, and exposure by an outline
_COLOURS: Final = {"baseline": "#1f5a8a", "usage": "#e29a2e", "exposure": "none"}


def svg(bill: Bill) -> str:
    """Baseline and declared use as a filled bar, exposure as an outline, the budget as a line."""
    rows = [*bill.rows("tier"), _named_all(bill.whole)]
    largest = max(bill.budget or 0.0, *(max(row.total, row.exposure) for row in rows), 1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / largest
    height = _TOP + _ROW * len(rows) + 20
    title = f"Cost of {bill.stack}, US dollars a month"
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
        *_legend(),
    ]
    for index, row in enumerate(rows):
        parts.extend(_row(row, _TOP + _ROW * index, scale))
    if bill.budget is not None:
        x = _LEFT + bill.budget * scale
        parts.append(
            f'<line class="budget" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 10}" y2="{height - 14}" '
            f'stroke="#b3261e" stroke-width="2" stroke-dasharray="5 3"/>'
            f'<text x="{x - 6:.1f}" y="{_TOP - 12}" text-anchor="end" fill="#b3261e">'
            f"budget {usd(bill.budget)}</text>"
        )
    return "\n".join([*parts, "</svg>"])


def _named_all(row: Row) -> Row:
    return Row("all", row.baseline, row.usage, row.exposure, row.unpriced)


def _legend() -> list[str]:
    parts: list[str] = []
    for index, (word, colour) in enumerate(_COLOURS.items()):
        x = 16 + index * 100
        parts.append(
            f'<rect x="{x}" y="38" width="12" height="12" fill="{colour}" stroke="#555"/>'
            f'<text x="{x + 18}" y="49">{word}</text>'
        )
    return parts


def _row(row: Row, y: int, scale: float) -> list[str]:
    baseline, usage, exposure = row.baseline * scale, row.usage * scale, row.exposure * scale
    mark = "" if not row.unpriced else f" + {len(row.unpriced)} unpriced"
    end = _LEFT + max(baseline + usage, exposure)
    return [
        f'<text x="{_LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(row.name)}</text>',
        (
            f'<rect class="baseline" x="{_LEFT}" y="{y}" width="{baseline:.1f}" height="{_BAR}" '
            f'fill="{_COLOURS["baseline"]}"/>'
        ),
        (
            f'<rect class="usage" x="{_LEFT + baseline:.1f}" y="{y}" width="{usage:.1f}" height="{_BAR}" '
            f'fill="{_COLOURS["usage"]}"/>'
        ),
        (
            f'<rect class="exposure" x="{_LEFT}" y="{y}" width="{exposure:.1f}" height="{_BAR}" fill="none" '
            f'stroke="#555"/>'
        ),
        f'<text x="{end + 6:.1f}" y="{y + 16}">{usd(row.total)}{mark}</text>',
    ]
