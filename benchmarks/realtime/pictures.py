"""Line charts as plain SVG: no library, and a diff of a picture shows which point moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 720
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 48, 60
#: Blue, orange, green, of a palette that colour-blind readers tell apart.
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@dataclass(frozen=True)
class Line:
    """One curve: its name, and points in the order of x."""

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """One direction; `log` for what spans decades."""

    title: str
    log: bool = False

    def ticks(self, low: float, high: float) -> list[float]:
        """Round numbers from below `low` to above `high`."""
        if self.log:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            marks = [base * 10.0**power for power in range(first, last) for base in (1, 2, 5)]
            marks.append(10.0**last)
            inner = [mark for mark in marks if low <= mark <= high]
            below = [mark for mark in marks if mark < low][-1:] if not inner or inner[0] > low else []
            above = [mark for mark in marks if mark > high][:1] if not inner or inner[-1] < high else []
            return [*below, *inner, *above]
        step = 10 ** math.floor(math.log10(high / 4))
        step = next(step * times for times in (1, 2, 2.5, 5, 10) if step * times * 6 >= high)
        return [step * number for number in range(math.ceil(high / step) + 1)]

    def place(self, value: float, ticks: list[float]) -> float:
        """Return where a value stands between the first and the last tick, 0 to 1."""
        low, high = ticks[0], ticks[-1]
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def chart(title: str, x: Axis, y: Axis, lines: list[Line]) -> str:
    """Draw."""
    xs = [point[0] for line in lines for point in line.points]
    ys = [point[1] for line in lines for point in line.points]
    across, up = x.ticks(min(xs), max(xs)), y.ticks(min(ys), max(ys))

    def left(value: float) -> float:
        return _LEFT + x.place(value, across) * (_WIDTH - _LEFT - _RIGHT)

    def top(value: float) -> float:
        return _HEIGHT - _BOTTOM - y.place(value, up) * (_HEIGHT - _TOP - _BOTTOM)

    floor = _HEIGHT - _BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'font-family="system-ui, sans-serif" font-size="12" fill="#333">'
        ),
        f"<title>{title}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15" font-weight="600">{title}</text>',
        *(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{top(value):.1f}" y2="{top(value):.1f}" '
            f'stroke="#ddd"/><text x="{_LEFT - 8}" y="{top(value) + 4:.1f}" text-anchor="end">'
            f"{_text(value)}</text>"
            for value in up
        ),
        *(
            f'<text x="{left(value):.1f}" y="{floor + 18}" text-anchor="middle">{_text(value)}</text>'
            for value in across
        ),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 22}" text-anchor="middle">{x.title}</text>',
        (
            f'<text transform="translate(16 {(_TOP + floor) / 2}) rotate(-90)" '
            f'text-anchor="middle">{y.title}</text>'
        ),
    ]
    for number, line in enumerate(lines):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{left(at):.1f},{top(value):.1f}" for at, value in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{left(at):.1f}" cy="{top(value):.1f}" r="3.5" fill="{color}"/>'
            for at, value in line.points
        ]
        parts.append(
            f'<rect x="{_LEFT + 12}" y="{_TOP + 6 + number * 18}" width="12" height="3" fill="{color}"/>'
            f'<text x="{_LEFT + 30}" y="{_TOP + 12 + number * 18}">{line.name}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _text(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:,.10g}"
