"""A server process kept by `keeper.py`: started, watched, stopped, and reaped when left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.servers import keeper
from lab.servers.state import State, disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.servers.owner import Owner

LOOPBACK = "127.0.0.1"


@dataclass
class Kept:
    """One server. `stop` is orderly; if this process dies without it, the keeper does the same."""

    name: str
    state: State
    command: Sequence[str]
    owner: Owner | None = None
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    _keeper: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.state.run / f"{self.name}.log"

    @property
    def record(self) -> Path:
        """Who runs, for the next start to reap."""
        return self.state.run / f"{self.name}.json"

    def start(self) -> None:
        """Returns at once; use `until` to wait for readiness."""
        self.log.unlink(missing_ok=True)
        spec = {
            "command": list(self.command),
            "cwd": str(self.cwd or self.state.run),
            "log": str(self.log),
            "record": str(self.record),
            "stop_signal": int(self.stop_signal),
            "grace": self.grace,
            "starter": os.getpid(),
            "uid": None if self.owner is None else self.owner.uid,
            "gid": None if self.owner is None else self.owner.gid,
        }
        base = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "TZ"}}
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(keeper.__file__)), json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self.log.open("ab"),
                env={**base, "LC_ALL": "C.UTF-8", **self.environment},
                start_new_session=True,
            )
        except OSError as problem:
            raise self.state.explain(problem) from problem

    @property
    def alive(self) -> bool:
        """Whether the keeper, and with it the server, still runs."""
        return self._keeper is not None and self._keeper.poll() is None

    async def until(self, ready: Callable[[], bool], *, timeout: float) -> None:  # noqa: ASYNC109 — says it in the error
        """Wait for readiness; a server that ends or takes too long is an error with its last words."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                raise self.failure("ended while starting")
            if time.monotonic() > deadline:
                await self.stop()
                raise self.failure(f"was not ready within {timeout:.0f} s")
            await asyncio.sleep(0.02)

    def failure(self, fact: str) -> LabError:
        """The server's own last words are the cause."""
        words = self.tail()
        if os.strerror(errno.ENOSPC) in words:
            return disk_full(self.state.home)
        return LabError(
            f"{self.name} {fact}",
            cause=words or "it printed nothing",
            hint=f"read the whole log: {self.log}",
            code="server-failed",
        )

    def tail(self, lines: int = 6) -> str:
        """The end of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""

    async def stop(self) -> None:
        """Orderly: the server's own stop signal, SIGKILL after the grace period."""
        process, self._keeper = self._keeper, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        deadline = time.monotonic() + self.grace + 3
        while process.poll() is None:
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
        self.record.unlink(missing_ok=True)


def reap(state: State) -> list[str]:
    """Stop what an earlier run left behind; the caller holds the lock, so no live run is touched."""
    reaped: list[str] = []
    for record in sorted(state.run.glob("*.json")):
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
            pids = [(int(found[who]), str(found[f"{who}_start"])) for who in ("keeper", "child")]
        except (ValueError, KeyError, TypeError):
            pids = []
        if [_end(pid, began) for pid, began in pids].count(True):
            reaped.append(record.stem)
        record.unlink(missing_ok=True)
    return reaped


def _end(pid: int, began: str) -> bool:
    """SIGTERM, then SIGKILL after five seconds; False when the process is gone or its id is another's now."""
    if keeper.start_time(pid) != began:
        return False
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while keeper.start_time(pid) == began and time.monotonic() < deadline:
            time.sleep(0.02)
    return True


def free_port(state: State, name: str) -> int:
    """The port of the last run when it is free, so that addresses stay the same; else any free one."""
    path = state.run / f"{name}.port"
    with contextlib.suppress(OSError, ValueError):
        port = int(path.read_text(encoding="utf-8"))
        if 1024 <= port < 65536 and bindable(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = int(probe.getsockname()[1])
    path.write_text(str(port), encoding="utf-8")
    return port


def bindable(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
