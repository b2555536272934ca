"""What `up` shows: a row per process while it starts (lines without a terminal), then one log."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lab.run.home import row_document
from lab.run.log import COLORS, render
from lab.run.supervisor import Row, State
from lab.run.tasks import OVERRIDES

if TYPE_CHECKING:
    from lab.output import Output
    from lab.run.stack import LocalStack

REFRESH_SECONDS = 0.1
_LOOKS = {
    "waiting": ("dim",),
    "starting": ("yellow",),
    "ready": ("green",),
    "unready": ("yellow",),
    "restarting": ("yellow",),
    "failed": ("red", "bold"),
    "stopping": ("yellow",),
    "stopped": ("dim",),
    "done": ("green",),
}


class Progress:
    """Rows on a terminal are redrawn in place; elsewhere each change is a line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live: Any = None
        self._shown: dict[str, tuple[State, int]] = {}
        self._closed = False
        self._drawn = 0.0

    @property
    def starting(self) -> bool:
        """Whether rows own the screen."""
        return not self._closed

    def rows(self, rows: list[Row]) -> None:
        """Show where everything is."""
        if self._output.quiet:
            return
        if self._closed or not self._output.progress:
            for row in rows:
                self._line(row)
        elif time.monotonic() - self._drawn > REFRESH_SECONDS:
            self._draw(rows)

    def close(self) -> None:
        """The stack serves, or never will: from here on changes are lines."""
        self._closed = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, row: Row) -> None:
        key = (row.state, row.restarts)
        before = self._shown.get(row.name)
        self._shown[row.name] = key
        if (
            before == key
            or row.state is State.WAITING
            or (before is None and self._closed and row.kind != "extra")
        ):
            return
        paint = self._output.paint
        self._output.say(f"{row.name:<18} {paint(row.state.value, *_LOOKS[row.state.value])}{words(row)}")

    def _draw(self, rows: list[Row]) -> None:
        from rich.console import Console  # noqa: PLC0415  100 ms that only a terminal pays
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        self._drawn = time.monotonic()
        lines: list[str] = []
        for row in rows:
            self._shown[row.name] = (row.state, row.restarts)
            state = self._output.paint(f"{row.state.value:<10}", *_LOOKS[row.state.value])
            lines.append(f"  {row.name:<18} {state}{words(row)}")
        if self._live is None:
            console = Console(file=self._output.stderr, no_color=not self._output.color)
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(Text.from_ansi("\n".join(lines)), refresh=True)


def words(row: Row) -> str:
    """What follows the state: how long it took, or why it is where it is."""
    if row.state in {State.READY, State.DONE} and row.seconds:
        return f" +{row.seconds:.1f} s"
    first = row.detail.splitlines()[0] if row.detail else ""
    return f" {first[:120]}" if first else ""


def follower(output: Output, progress: Progress) -> Callable[[str, str], None]:
    """Log lines as `name | text`, each name in its own colour; silent while rows own a terminal."""
    colors = itertools.cycle(COLORS)
    chosen: dict[str, str] = {}

    def follow(name: str, line: str) -> None:
        if progress.starting or output.quiet:
            return
        color = chosen.setdefault(name, "") or next(colors)
        chosen[name] = color
        for part in render(line).splitlines() or [""]:
            output.say(f"{output.paint(f'{name:<18} |', color)} {part}")

    return follow


def table(rows: list[dict[str, Any]], output: Output) -> str:
    """The processes, as `ps` prints them."""
    lines = [f"{'NAME':<18} {'STATE':<11} {'PID':>8} {'PORT':>6} {'READY':>8} {'RESTARTS':>9}"]
    for row in rows:
        seconds = row.get("ready_seconds")
        state = output.paint(f"{row['state']:<11}", *_LOOKS[row["state"]])
        took = f"{seconds:.1f} s" if seconds else "-"
        pid, port = row["pid"] or "-", row["port"] or "-"
        lines.append(f"{row['name']:<18} {state} {pid:>8} {port:>6} {took:>8} {row['restarts']:>9}")
        if row.get("detail") and row["state"] not in {"ready", "done"}:
            lines.append(f"  {row['detail'].splitlines()[0]}")
    return "\n".join(lines)


def summary(stack: LocalStack, output: Output) -> str:
    """The table of addresses, what differs from AWS, and the next command."""
    rows = [row_document(row) for row in stack.all_rows()]
    paint, url = output.paint, stack.url
    world = stack.world
    left_out = world.not_run if world else []
    unknown = sorted({one.type for one in left_out if not one.known})
    lines = [
        table(rows, output),
        "",
        f"  map and console   {paint(f'{url}/', 'cyan')}",
        f"  API reference     {paint(f'{url}/schema', 'cyan')}",
        f"  demo token        {paint(f'{url}/.slipway/token?user=demo', 'cyan')}",
        f"  ready             {paint(f'{url}/ready', 'cyan')}",
        "",
        f"set here instead of by the task definitions: {', '.join(OVERRIDES)}",
        f"{len(left_out)} of {len(stack.graph or ())} resources have nothing to do here (up -v lists them)",
    ]
    if unknown:
        lines.append(paint("not known here, so not made: ", "yellow") + ", ".join(unknown))
    if output.verbose:
        kinds = sorted({(one.type, one.reason) for one in left_out})
        lines.extend(f"  {type_:<58} {reason}" for type_, reason in kinds)
    name = "" if stack.options.stack == "local" else f" -s {stack.options.stack}"
    total = f"ready in {time.monotonic() - stack.began:.1f} s"
    lines += [
        "",
        f"{paint(total, 'green')}; next: slipway logs -f api{name}, slipway ps{name}; Ctrl-C stops it",
    ]
    return "\n".join(lines)


def summary_document(stack: LocalStack) -> dict[str, Any]:
    """The same for --json."""
    left_out = stack.world.not_run if stack.world else []
    return {
        "stack": stack.options.stack,
        "url": stack.url,
        "seconds": round(time.monotonic() - stack.began, 2),
        "rows": [row_document(row) for row in stack.all_rows()],
        "overrides": dict(OVERRIDES),
        "resources": len(stack.graph or ()),
        "not_run": [
            {"type": one.type, "name": one.name, "reason": one.reason, "known": one.known} for one in left_out
        ],
    }
