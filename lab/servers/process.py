"""A server process kept by `keeper.py`: started, watched, stopped, and reaped when left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
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
REAP_SECONDS = 12.0


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
    _ready: Callable[[], bool] = bool

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
            with self.log.open("ab") as words:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(Path(keeper.__file__)), json.dumps(spec)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
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
        self._ready = ready
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                raise self.failure("ended while starting")
            if time.monotonic() > deadline:
                await self.stop()
                raise self.failure(f"was not ready within {timeout:.0f} s")
            await asyncio.sleep(0.02)

    async def revive(self, timeout: float = 60) -> None:  # noqa: ASYNC109 — as in `until`
        """Start it once more, on the data that it left."""
        self.start()
        await self.until(self._ready, timeout=timeout)

    async def finish(self) -> int:
        """Wait for a program that ends by itself; its exit status."""
        assert self._keeper is not None  # noqa: S101 — started
        try:
            # polled, as a process object of the loop could not be stopped from another loop
            while (code := self._keeper.poll()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        finally:
            await self.stop()
        return code

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
        """Orderly: the server's own stop signal, SIGKILL after the grace period. Cut short, call it again."""
        process = self._keeper
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
        self._keeper = None
        self.record.unlink(missing_ok=True)


@dataclass(frozen=True)
class Leftover:
    """A process of an earlier run that still lives: not merely one that has its id now."""

    name: str
    pid: int
    began: str
    stop_signal: int

    @property
    def alive(self) -> bool:
        """Whether it is still the same process."""
        return keeper.start_time(self.pid) == self.began

    def tell(self, number: int) -> None:
        """Send a signal, unless it ended meanwhile."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def leftovers(state: State) -> list[Leftover]:
    """What the records of earlier runs name and still lives: keepers first, then their servers."""
    found: list[Leftover] = []
    for record in sorted(state.run.glob("*.json")):
        try:
            told = json.loads(record.read_text(encoding="utf-8"))
            found += [
                Leftover(record.stem, int(told["keeper"]), str(told["keeper_start"]), signal.SIGTERM),
                Leftover(record.stem, int(told["child"]), str(told["child_start"]), int(told["stop_signal"])),
            ]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [one for one in sorted(found, key=lambda one: one.stop_signal != signal.SIGTERM) if one.alive]


def reap(state: State, patience: float = REAP_SECONDS) -> list[str]:
    """Stop what an earlier run left behind; the caller holds the lock, so no live run is touched."""
    found = leftovers(state)
    for number in (None, None, signal.SIGKILL):
        # a server whose keeper is gone too is told by its own stop signal; being told twice does no harm
        for one in found:
            one.tell(one.stop_signal if number is None else number)
        deadline = time.monotonic() + patience
        while any(one.alive for one in found) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not any(one.alive for one in found):
            break
    for record in state.run.glob("*.json"):
        record.unlink(missing_ok=True)
    return sorted({one.name for one in found})
