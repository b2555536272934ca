"""What services print: a bounded file per service, the last lines for errors, a line for people."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_LIMIT_BYTES = (
    16 * 1024 * 1024
)  # then `<name>.log` becomes `<name>.log.1`: two files bound a service's disk
TAIL_LINES = 50
LINE_LIMIT_BYTES = 64 * 1024  # a longer line becomes several
COLORS = ("cyan", "green", "magenta", "blue", "yellow")

_FIRST_FIELDS = ("timestamp", "time", "ts", "level", "event", "message", "msg")
# the same on every line of one service: noise beside the prefix
_HIDDEN_FIELDS = frozenset({"stack", "service", "Stack", "Service", "logger", "pid", "_aws"})
# colours pass; whatever else could steer the terminal does not
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]|\x1b(?!\[[0-9;]*m)")


class ServiceLog:
    """One service's output: file, tail, and whoever follows it."""

    def __init__(self, name: str, path: Path, follower: Callable[[str, str], None] | None = None) -> None:
        self.name = name
        self.path = path
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._follower = follower
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def write(self, raw: bytes) -> None:
        """One line, with or without its end."""
        line = raw.rstrip(b"\r\n")
        text = line.decode("utf-8", errors="replace")
        self.tail.append(text)
        self._append(line + b"\n")
        if self._follower is not None:
            self._follower(self.name, text)

    def note(self, text: str) -> None:
        """A line of the supervisor itself, such as a crash or a restart."""
        self.write(f"slipway: {text}".encode())

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def _append(self, line: bytes) -> None:
        try:
            if self._size + len(line) > FILE_LIMIT_BYTES:
                self._file.close()
                self.path.replace(self.path.with_name(self.path.name + ".1"))
                self._file = self.path.open("ab", buffering=0)
                self._size = 0
            self._file.write(line)
            self._size += len(line)
        except OSError as error:
            # a full disk must not take the stack down; the line still goes to the tail and to whoever follows
            self.tail.append(f"slipway: this line is not in {self.path.name}: {error.strerror}")


def render(line: str) -> str:
    """A JSON log line as `time level event key=value`; any other as it is; no control characters."""
    if not line.startswith("{"):
        return _CONTROL.sub("", line)
    try:
        record: Any = json.loads(line)
    except ValueError:
        return _CONTROL.sub("", line)
    fields: dict[str, Any] = dict(record)
    head = [_short(name, fields.pop(name)) for name in _FIRST_FIELDS if name in fields]
    traceback = [str(fields.pop(name)) for name in ("exception", "traceback") if fields.get(name)]
    rest = [
        f"{name}={_value(value)}"
        for name, value in fields.items()
        if name not in _HIDDEN_FIELDS and value != ""
    ]
    return _CONTROL.sub("", "\n".join([" ".join([*head, *rest]), *traceback]))


def _short(name: str, value: Any) -> str:
    text = str(value)
    if name in {"timestamp", "time", "ts"} and "T" in text:
        return text.partition("T")[2][:12].rstrip("Z")
    return text


def _value(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)
