"""Keeps processes as they should be: ready, restarted with back-off, stopped in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import aiohttp

from lab.errors import EXIT_INTERRUPTED, LabError
from lab.run.log import ServiceLog
from lab.run.process import Process, Spec, exit_words, start
from lab.servers.keeper import start_time

FIRST_BACKOFF_SECONDS = 0.5
LAST_BACKOFF_SECONDS = 15.0
SETTLED_SECONDS = 20.0  # a process that ran this long starts its next back-off from the beginning
CRASHES_IN_A_ROW = 6  # then it is given up: 0.5 + 1 + 2 + 4 + 8 s of trying
PROBE_SECONDS = 0.1
PROBE_READY_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 3.0
UNREADY_PROBES = 3  # as a target group: so many failures in a row take a ready target out


class State(StrEnum):
    """Where a process is; `ready` is the only one that serves."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKOFF = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"


@dataclass
class Row:
    """What `ps` and the progress table show of one process."""

    name: str
    kind: str  # server, task, service, extra, front
    state: State = State.WAITING
    detail: str = ""
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    seconds: float | None = None  # from start to ready
    log: str | None = None
    born: str | None = None  # tells the process from a later one with its id
    since: float = field(default_factory=time.time)


class Supervised:
    """One process with its readiness and its restarts."""

    def __init__(self, spec: Spec, kind: str, log: ServiceLog, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.log = log
        self.row = Row(spec.name, kind, port=spec.port, log=str(log.path))
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()  # given up, or stopped
        self.crashes = 0
        self.was_ready = False
        self._started = 0.0
        self._changed = changed
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"supervise {spec.name}")

    def to(self, state: State, detail: str = "") -> None:
        """Move to a state, and tell whoever shows it."""
        if (state, detail) != (self.row.state, self.row.detail):
            self.row.state, self.row.detail, self.row.since = state, detail, time.time()
            if state is State.READY:
                self.was_ready = True
                self.ready.set()
            else:
                self.ready.clear()
            self._changed()

    async def stop(self) -> None:
        """SIGTERM and its own time to drain; no restart follows."""
        self._stopping.set()
        await asyncio.shield(self._task)

    def kill(self) -> None:
        """At once, without draining."""
        self._stopping.set()
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                code = await self._once()
                if self._stopping.is_set() or not await self._back_off(code):
                    break
        except OSError as error:  # no process could be made at all
            self.to(State.FAILED, f"cannot be started: {error}")
        finally:
            if self.row.state not in {State.FAILED, State.DONE}:
                self.to(State.STOPPED)
            self.row.pid = None
            self.log.close()
            self.ended.set()

    async def _once(self) -> int:
        """One life of the process, from start to its end."""
        self.to(State.STARTING)
        process = self._process = await start(self.spec, self.log)
        self._started = process.started
        self.row.pid, self.row.born = process.pid, start_time(process.pid)
        self._changed()
        probe = asyncio.create_task(self._probe(process))
        over = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({over, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not over.done():
                probe.cancel()
                self.to(State.STOPPING)
                if not await process.stop():
                    self.log.note(f"did not stop within {self.spec.stop_seconds:.0f} s, killed")
            return await over
        finally:
            probe.cancel()
            stopping.cancel()
            self._process = None
            self.row.pid = None

    async def _back_off(self, code: int) -> bool:
        """Wait before the next life; False when there is none."""
        lived = time.monotonic() - self._started
        self.crashes = 1 if lived > SETTLED_SECONDS else self.crashes + 1
        why = exit_words(code)
        if code == 0 and self.spec.may_end:
            self.to(State.DONE)
            return False
        if self.crashes >= CRASHES_IN_A_ROW:
            self.to(State.FAILED, f"{why}; given up after {self.crashes} crashes in a row")
            self.log.note(self.row.detail)
            return False
        delay = min(FIRST_BACKOFF_SECONDS * 2 ** (self.crashes - 1), LAST_BACKOFF_SECONDS)
        self.row.restarts += 1
        self.to(State.BACKOFF, f"{why}; again in {delay:g} s")
        self.log.note(f"ended with {why} after {lived:.1f} s; restart {self.row.restarts} in {delay:g} s")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), timeout=delay)
        return not self._stopping.is_set()

    async def _probe(self, process: Process) -> None:
        """Ask the process whether it is ready, often at first, then as a target group would."""
        if self.spec.port is None or self.spec.ready_path is None:
            self.row.seconds = 0.0
            self.to(State.READY)
            return
        url = f"http://127.0.0.1:{self.spec.port}{self.spec.ready_path}"
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
        misses = 0
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                answer = await ask(session, url)
                if answer is None:
                    misses = 0
                    if self.row.state is not State.READY:
                        self.row.seconds = self.row.seconds or round(time.monotonic() - process.started, 2)
                        self.to(State.READY)
                else:
                    misses += 1
                    if self.row.state is not State.READY:
                        self.to(self.row.state, answer)
                    elif misses >= UNREADY_PROBES:
                        self.to(State.UNREADY, answer)
                slow = self.row.state is State.READY and not misses
                await asyncio.sleep(PROBE_READY_SECONDS if slow else PROBE_SECONDS)


async def ask(session: aiohttp.ClientSession, url: str) -> str | None:
    """None when the answer is 200, else what came instead, in words."""
    try:
        async with session.get(url) as response:
            if response.status == 200:
                return None
            body = (await response.content.read(300)).decode("utf-8", errors="replace")
            return f"{response.status} {body}".strip()
    except aiohttp.ClientConnectionError:
        return "not listening yet"
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_SECONDS:g} s"
    except aiohttp.ClientError as error:
        return f"{type(error).__name__}: {error}"


class Supervisor:
    """All processes of the stack, in the order of their start."""

    def __init__(
        self,
        logs: Path,
        changed: Callable[[], None] = lambda: None,
        follower: Callable[[str, str], None] | None = None,
    ) -> None:
        self.logs = logs
        self.all: dict[str, Supervised] = {}
        self._changed = changed
        self._follower = follower
        self._stopping = False
        self._tasks: set[Process] = set()

    def open_log(self, name: str) -> ServiceLog:
        """The log of one service, or of a one-off task."""
        return ServiceLog(name, self.logs / f"{name}.log", self._follower)

    def add(self, spec: Spec, kind: str = "service") -> Supervised:
        """Start a process and keep it running."""
        if self._stopping:
            raise LabError("the stack is stopping", code="interrupted", exit_code=EXIT_INTERRUPTED)
        supervised = Supervised(spec, kind, self.open_log(spec.name), self._changed)
        self.all[spec.name] = supervised
        return supervised

    async def run_once(self, spec: Spec, row: Row) -> int:
        """A one-off task: its exit code; it is never restarted."""
        if self._stopping:
            raise LabError("the stack is stopping", code="interrupted", exit_code=EXIT_INTERRUPTED)
        log = self.open_log(spec.name)
        row.log, began = str(log.path), time.monotonic()
        row.state, row.detail = State.STARTING, "running"
        process: Process | None = None
        try:
            process = await start(spec, log)
            self._tasks.add(process)
            row.pid, row.born = process.pid, start_time(process.pid)
            self._changed()
            code = await process.wait()
        finally:
            if process is not None:
                process.signal(signal.SIGKILL)
                self._tasks.discard(process)
            row.pid = None
            log.close()
        row.seconds = round(time.monotonic() - began, 2)
        row.state = State.DONE if code == 0 else State.FAILED
        row.detail = "" if code == 0 else "\n".join([exit_words(code), *list(log.tail)[-20:]])
        self._changed()
        return code

    async def stop(self) -> None:
        """In reverse order of the start, each with its own time to drain."""
        self._stopping = True
        for process in list(self._tasks):
            await process.stop()
        for supervised in reversed(list(self.all.values())):
            await supervised.stop()

    def kill(self) -> None:
        """Everything at once."""
        self._stopping = True
        for process in list(self._tasks):
            process.signal(signal.SIGKILL)
        for supervised in self.all.values():
            supervised.kill()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
