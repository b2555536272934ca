"""What a verb writes: data on stdout, talk on stderr, and with --json exactly one document."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from lab.errors import LabError

DOCUMENT_VERSION = 1

# green is for ok and commands, yellow for warnings, red for errors, cyan for hints and paths
_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass
class Output:
    """Where a verb's words go; made once by the command line's root from the common flags."""

    command: str = "slipway"
    json: bool = False
    quiet: int = 0
    verbose: int = 0
    color: bool | None = None  # None: decide by NO_COLOR and whether stderr is a terminal
    progress: bool | None = None
    out: Path | None = None
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    emitted: bool = False

    def __post_init__(self) -> None:
        terminal = self.stderr.isatty()
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        if self.color is None:
            self.color = terminal and not plain
        if self.progress is None:
            self.progress = terminal and not self.quiet

    def data(self, document: Mapping[str, Any], text: str) -> None:
        """The verb's result: `document` with --json, else `text`; to --out when given."""
        if self.json:
            body = json.dumps(
                {"version": DOCUMENT_VERSION, "command": self.command, "ok": True, **document},
                indent=2,
                default=str,
                allow_nan=False,
            )
        else:
            body = text.rstrip("\n")
        self._write(body)

    def fail(self, error: LabError) -> None:
        """A failure: the words on stderr; with --json also the one document, unless one is already out."""
        if self.json and not self.emitted:
            document = {
                "version": DOCUMENT_VERSION,
                "command": self.command,
                "ok": False,
                "error": error.document(),
            }
            self._write(json.dumps(document, indent=2))
        lines = [f"{self.paint('error:', 'red', 'bold')} {error.message}"]
        if error.cause:
            lines.extend(f"  {line}" for line in error.cause.rstrip("\n").splitlines())
        if error.hint:
            lines.append(f"{self.paint('hint:', 'cyan')} {error.hint}")
        print("\n".join(lines), file=self.stderr, flush=True)

    def say(self, text: str) -> None:
        """Talk: stderr, and nothing with -q."""
        if not self.quiet:
            print(text, file=self.stderr, flush=True)

    def detail(self, text: str) -> None:
        """Talk for -v."""
        if self.verbose:
            print(self.paint(text, "dim"), file=self.stderr, flush=True)

    def warn(self, text: str) -> None:
        """A warning: shown unless -qq."""
        if self.quiet < 2:
            print(f"{self.paint('warning:', 'yellow')} {text}", file=self.stderr, flush=True)

    def paint(self, text: str, *names: str) -> str:
        """`text` in the named colours, when colours are on; its meaning never depends on them."""
        if not self.color or not names:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"

    def _write(self, body: str) -> None:
        if self.json:
            self.emitted = True
        if self.out is not None:
            try:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self.out.write_text(body + "\n", encoding="utf-8")
            except OSError as error:
                raise LabError(
                    f"{self.out} cannot be written",
                    cause=str(error),
                    hint="name another file with --out",
                    code="out-not-writable",
                ) from error
            return
        print(body, file=self.stdout, flush=True)
