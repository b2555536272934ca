"""Where a stack keeps its state, and whether it runs: shared by the verbs that only look."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.run.supervisor import Row, State
from lab.servers.state import default_home, held, write_private

DEFAULT_STACK = "local"
STATUS_VERSION = 1


def stack_home(root: Path, stack: str) -> Path:
    """The state folder: the project's for `local`, one below it for each other stack that runs here."""
    home = default_home(root)
    return home if stack == DEFAULT_STACK else home / "stacks" / stack


class StatusFile:
    """What the running `up` says of itself, for `ps`, `wait` and `down`; replaced whole."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "run" / "up" / "status.json"

    @property
    def logs(self) -> Path:
        """One file per service."""
        return self.home / "run" / "logs"

    def write(self, document: dict[str, Any]) -> None:
        """Readers see the old one or the new one; a full disk costs the update, not the stack."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.path, json.dumps({"version": STATUS_VERSION, **document}))

    def read(self) -> dict[str, Any] | None:
        """The last words, whether or not it still runs."""
        try:
            document: Any = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) and document.get("version") == STATUS_VERSION else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def running(self) -> dict[str, Any] | None:
        """The status of the `up` that holds the state folder now; None when there is none."""
        if not held(self.home):
            return None
        document = self.read()
        return (
            document if document is not None and document.get("phase") != "stopped" else _starting(self.home)
        )

    def required(self, stack: str) -> dict[str, Any]:
        """The same, or an error with the way to start it."""
        document = self.running()
        if document is None:
            raise LabError(
                f"stack {stack!r} is not running",
                cause=f"nothing holds {self.home}",
                hint=f"slipway up{'' if stack == DEFAULT_STACK else f' -s {stack}'}",
                code="not-running",
            )
        return document


def _starting(home: Path) -> dict[str, Any]:
    """The lock is taken and the first status is not written yet."""
    pid: int | None = None
    with contextlib.suppress(OSError, ValueError):
        pid = int((home / "lock").read_text(encoding="utf-8"))
    return {"phase": "starting", "pid": pid, "url": None, "rows": []}


def row_document(row: Row) -> dict[str, Any]:
    """A row as `ps --json` shows it."""
    return {
        "name": row.name,
        "kind": row.kind,
        "state": row.state.value,
        "detail": row.detail,
        "pid": row.pid,
        "port": row.port,
        "restarts": row.restarts,
        "ready_seconds": row.seconds,
        "log": row.log,
        "born": row.born,
        "since": row.since,
    }


def late(rows: list[Row]) -> dict[str, str]:
    """Who does not serve yet, and why."""
    fine = {State.READY, State.DONE}
    return {
        row.name: f"{row.state.value}{f': {row.detail.splitlines()[0]}' if row.detail else ''}"
        for row in rows
        if row.state not in fine and row.kind != "extra"
    }
