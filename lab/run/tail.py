"""Reads the log files of services and servers: their last lines, and with follow what comes after."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lab.errors import EXIT_OK, LabError
from lab.run.log import COLORS, render

if TYPE_CHECKING:
    from lab.output import Output

POLL_SECONDS = 0.2
READ_BYTES = 1024 * 1024  # per file and turn: one busy service does not starve the others


@dataclass(frozen=True)
class Wanted:
    """Which lines."""

    names: tuple[str, ...]
    lines: int
    follow: bool
    raw: bool
    seconds: float | None = None


def files(home: Path) -> dict[str, Path]:
    """Every log of the stack by name: services first, then servers."""
    found = {path.stem: path for path in sorted((home / "run" / "logs").glob("*.log"))}
    for path in sorted((home / "run").glob("*.log")):
        found.setdefault(path.stem, path)
    return found


def show(home: Path, wanted: Wanted, output: Output) -> int:
    """Print them; with --json one document, which following has no place in."""
    chosen = _choose(files(home), wanted.names)
    if output.json:
        if wanted.follow:
            raise LabError(
                "--json and --follow contradict each other", hint="slipway logs -f --raw", code="usage"
            )
        document = {name: last(path, wanted.lines) for name, path in chosen.items()}
        output.data({"logs": document}, "")
        return EXIT_OK
    printer = Printer(list(chosen), output, raw=wanted.raw)
    followed = {name: Followed(path) for name, path in chosen.items()} if wanted.follow else {}
    for name, path in chosen.items():
        printer.put(name, last(path, wanted.lines))
    deadline = time.monotonic() + wanted.seconds if wanted.seconds else None
    while wanted.follow and (deadline is None or time.monotonic() < deadline):
        for name, one in followed.items():
            printer.put(name, one.more())
        time.sleep(POLL_SECONDS)
    return EXIT_OK


class Printer:
    """Lines with the name of who wrote them, each name in its colour."""

    def __init__(self, names: list[str], output: Output, *, raw: bool) -> None:
        self._output = output
        self._raw = raw
        self._width = max((len(name) for name in names), default=0)
        self._colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}

    def put(self, name: str, lines: list[str]) -> None:
        """Print them, and let a reader of the pipe have them at once."""
        prefix = self._output.paint(f"{name:<{self._width}} |", self._colors[name])
        for line in lines:
            shown = (
                [line] if self._raw else [f"{prefix} {part}" for part in render(line).splitlines() or [""]]
            )
            self._output.stdout.write("\n".join(shown) + "\n")
        self._output.stdout.flush()


def last(path: Path, lines: int) -> list[str]:
    """The end of a file, and of the one before it when the file has just been moved aside."""
    kept: deque[str] = deque(maxlen=lines)
    for one in (path.with_name(path.name + ".1"), path):
        try:
            with one.open(encoding="utf-8", errors="replace") as stream:
                kept.extend(line.rstrip("\n") for line in stream)
        except FileNotFoundError:
            continue
    return list(kept)


class Followed:
    """One file from its present end on, also across its move aside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("rb")
        self._file.seek(0, 2)
        self._inode = path.stat().st_ino
        self._rest = b""

    def more(self) -> list[str]:
        """The whole lines that came since the last call."""
        data = self._rest + self._file.read(READ_BYTES)
        *whole, self._rest = data.split(b"\n")
        if not whole and self._moved():
            self._file.close()
            self._file = self._path.open("rb")
            self._inode = self._path.stat().st_ino
        return [line.decode("utf-8", errors="replace") for line in whole]

    def _moved(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return False


def _choose(known: dict[str, Path], names: tuple[str, ...]) -> dict[str, Path]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(
            f"there is no log of {', '.join(unknown)}",
            cause=f"there are logs of: {', '.join(known) or 'nothing'}",
            hint=f"slipway logs {next(iter(known))}" if known else "slipway up",
            code="unknown-service",
        )
    return {name: known[name] for name in names} if names else known
