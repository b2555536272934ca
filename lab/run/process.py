"""One process of the stack: started in its own group, its output read, stopped politely, then not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.run.log import LINE_LIMIT_BYTES, ServiceLog

LAUNCHER = Path(__file__).with_name("launch.py")
# A container sees its image's environment and its task definition's: of this machine's, what an image has.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True)
class Spec:
    """What to run: the command, environment and secrets of a task definition after the overrides."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    port: int | None = None
    ready_path: str | None = None
    stop_seconds: float = 30.0  # ECS: the task definition's stopTimeout
    may_end: bool = False  # an end with code 0 is not a crash


class Process:
    """A running (or ended) child."""

    def __init__(self, spec: Spec, child: asyncio.subprocess.Process, log: ServiceLog) -> None:
        self.spec = spec
        self.pid = child.pid
        self.started = time.monotonic()
        self._child = child
        self._log = log
        self._reader = asyncio.create_task(self._read(), name=f"log of {spec.name}")

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._child.returncode

    async def wait(self) -> int:
        """Until it has ended, all its words are in the log and nothing of its group is left."""
        code = await self._child.wait()
        self.signal(signal.SIGKILL)  # grandchildren hold the pipe and the port
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reader, timeout=2)
        return code

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, so that nothing of it stays behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def stop(self) -> bool:
        """SIGTERM, and after the service's own stop time SIGKILL; whether the first was enough."""
        if self.returncode is None:
            # to the service itself, as ECS does; the group gets SIGKILL once it has ended
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGTERM)
        polite = True
        try:
            await asyncio.wait_for(asyncio.shield(self._child.wait()), timeout=self.spec.stop_seconds)
        except TimeoutError:
            polite = False
        self.signal(signal.SIGKILL)
        await self.wait()
        return polite

    async def _read(self) -> None:
        stream = self._child.stdout
        if stream is None:
            return
        while True:
            try:
                line = await stream.readuntil(b"\n")
            except asyncio.IncompleteReadError as rest:
                if rest.partial:
                    self._log.write(rest.partial)
                return
            except asyncio.LimitOverrunError as over:
                line = await stream.read(max(over.consumed, 1))
            self._log.write(line)


async def start(spec: Spec, log: ServiceLog) -> Process:
    """Start it; a program that is not there ends with code 127 and says so in its log."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    program, *arguments = spec.command
    if program in {"python", "python3"}:
        program = sys.executable  # the image's Python is this environment's
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(LAUNCHER),
        str(os.getpid()),
        program,
        *arguments,
        cwd=spec.cwd,
        env={**inherited, "PYTHONUNBUFFERED": "1", **spec.environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=LINE_LIMIT_BYTES,
    )
    return Process(spec, child, log)


def exit_words(code: int) -> str:
    """An exit code as a person says it."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
