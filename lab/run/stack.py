"""One `up`: servers, program, services and front brought up side by side, and down in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_TIMEOUT, LabError
from lab.issuer import AUDIENCE, Issuer
from lab.run.front import Front, Routes
from lab.run.home import StatusFile, late, row_document, stack_home
from lab.run.memory import Memory
from lab.run.own import own_pages
from lab.run.process import Spec
from lab.run.services import Services
from lab.run.supervisor import Row, State, Supervisor
from lab.run.world import World
from lab.servers import Servers
from lab.servers import State as Folder
from lab.servers.keeper import start_time

if TYPE_CHECKING:
    from lab.model import Graph

READY_SECONDS = 180.0
INTERRUPT_SECONDS = 10.0
STATUS_DELAY_SECONDS = 0.05
WATCH_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
SERVERS = ("postgres", "valkey", "emulator")


@dataclass(frozen=True)
class Extra:
    """A program of the lab that runs beside the stack once it serves, such as a replay of recorded tracks."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Options:
    """What to run and how."""

    root: Path
    stack: str
    port: int = 8080
    replicas: Mapping[str, int] = field(default_factory=dict[str, int])  # "" is every service
    extras: Callable[[str], Sequence[Extra]] = lambda _url: ()
    ready_seconds: float = READY_SECONDS


class LocalStack:
    """Brings a stack up; `changed` is called with the rows whenever one of them moves."""

    def __init__(
        self,
        options: Options,
        changed: Callable[[list[Row]], None] = lambda _rows: None,
        follower: Callable[[str, str], None] | None = None,
    ) -> None:
        self.options = options
        self.home = stack_home(options.root, options.stack)
        self.status = StatusFile(self.home)
        self.folder = Folder(self.home)
        self.opened = False  # this run holds the state folder, and `down` has something to do
        self.phase = "starting"
        self.error: LabError | None = None
        self.graph: Graph | None = None
        self.began = time.monotonic()
        self.rows: dict[str, Row] = {name: Row(name, "server") for name in SERVERS}
        self.program = Row("program", "program")
        self._tell = changed
        self._pending: asyncio.TimerHandle | None = None
        self.supervisor = Supervisor(self.status.logs, self.changed, follower)
        self.front = Front(Routes(), self.ready, {})
        self.world: World | None = None
        self._servers: Servers | None = None
        self._synth: asyncio.Future[Any] | None = None
        self._watching: asyncio.Future[None] | None = None

    # --- what others see

    @property
    def url(self) -> str:
        """Where the front listens."""
        return f"http://127.0.0.1:{self.front.port}"

    def all_rows(self) -> list[Row]:
        """Servers, program, one-off tasks, services and extras, in the order of their start."""
        supervised = [one.row for one in self.supervisor.all.values()]
        return [*self.rows.values(), *supervised]

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the whole stack serves, and who is late."""
        waiting = late(self.all_rows())
        serves = self.phase == "ready" and not waiting
        return serves, {
            "status": "ready" if serves else self.phase,
            "stack": self.options.stack,
            "late": waiting,
        }

    def changed(self) -> None:
        """A row moved: tell who shows it, and write the status soon."""
        self._tell(self.all_rows())
        if self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(STATUS_DELAY_SECONDS, self._write)

    def to(self, phase: str) -> None:
        """Move to starting, ready, stopping, failed or stopped."""
        self.phase = phase
        self.changed()
        self._write()

    def _write(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        document = {
            "stack": self.options.stack,
            "phase": self.phase,
            "pid": os.getpid(),
            "url": self.url if self.front.port else None,
            "seconds": round(time.monotonic() - self.began, 2),
            "rows": [row_document(row) for row in self.all_rows()],
            "late": late(self.all_rows()),
            "error": self.error.document() if self.error else None,
        }
        self.status.write(document)

    # --- up

    async def up(self) -> None:
        """Until the whole stack serves; on any failure a LabError, and `down` still has to be called."""
        self.folder.open()
        self.opened = True
        self._reap()
        self.to("starting")
        try:
            async with asyncio.timeout(self.options.ready_seconds):
                await self.front.start(self.options.port)
                await self._make()
                await self._serving()
        except TimeoutError:
            waiting = "\n".join(f"{name}: {why}" for name, why in late(self.all_rows()).items())
            raise LabError(
                f"stack {self.options.stack!r} did not serve within {self.options.ready_seconds:g} s",
                cause=waiting or None,
                hint="read the logs of who is late: slipway logs NAME; more time: --timeout SECONDS",
                code="not-ready",
                exit_code=EXIT_TIMEOUT,
            ) from None
        self.to("ready")
        self._watching = asyncio.ensure_future(self._watch())
        for extra in self.options.extras(self.url):
            self.supervisor.add(
                Spec(extra.name, extra.command, {}, self.options.root, stop_seconds=15, may_end=True), "extra"
            )

    async def _make(self) -> None:
        """Servers and program at the same time: most of both is waiting and importing."""
        config = _config(self.options)
        services = Services(self)
        world = self.world = World(
            project=config["project"],
            stack=self.options.stack,
            account_id=config["account_id"],
            region=config["region"],
            memory=Memory(self.folder),
            routes=self.front.routes,
            processes=services,
        )
        self.front.own.update(own_pages(self._issuer, self.url, self.options.stack))
        for name in SERVERS:
            self.rows[name].state = State.STARTING
        self.rows["program"] = self.program
        self.program.state = State.STARTING
        self.changed()
        self._servers = Servers(
            self.folder, account_id=world.account_id, region=world.region, report=self._server_ready
        )
        starting = asyncio.ensure_future(self._servers.start())
        starting.add_done_callback(partial(_hand_over, world))
        self._synth = asyncio.ensure_future(asyncio.to_thread(_synth, self.options, world))
        try:
            # wait, not await: a cancelled start must not let go of the worker thread
            await asyncio.wait({starting, self._synth}, return_when=asyncio.FIRST_EXCEPTION)
            if starting.done():
                starting.result()
            self.graph = self._synth.result()
            services.check_replicas()
        except BaseException:
            world.stopping.set()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            raise
        self.program.state = State.DONE
        self.program.seconds = round(time.monotonic() - self.began, 2)
        self.program.detail = ""
        self.changed()

    def _server_ready(self, name: str, seconds: float) -> None:
        row = self.rows[name]
        row.state, row.seconds, row.log = State.READY, round(seconds, 2), str(self.folder.run / f"{name}.log")
        self.changed()

    async def _serving(self) -> None:
        """Until every service is ready; one that only crashes ends the wait."""
        while True:
            services = list(self.supervisor.all.values())
            if all(one.ready.is_set() for one in services):
                return
            for one in services:
                if one.crashes >= 3 and not one.was_ready:
                    words = "\n".join(list(one.log.tail)[-20:])
                    raise LabError(
                        f"service {one.row.name!r} does not start: {one.row.detail.partition(';')[0]}",
                        cause=words or None,
                        hint=f"read the whole log: slipway logs {one.row.name}",
                        code="service-failed",
                        exit_code=EXIT_FINDINGS,
                    )
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        """Start a server again that has ended; services find it where it was."""
        while self._servers is not None:
            await asyncio.sleep(WATCH_SECONDS)
            for name, server in self._servers.ended().items():
                row = self.rows[name]
                row.state, row.restarts = State.BACKOFF, row.restarts + 1
                row.detail = "it had ended"
                self.changed()
                try:
                    await server.revive()
                except LabError as problem:
                    row.detail = f"{problem.message}: {problem.cause}"
                    await asyncio.sleep(min(2.0**row.restarts, LONGEST_WAIT_SECONDS))
                else:
                    row.state, row.detail = State.READY, ""
                self.changed()

    def _issuer(self) -> Issuer:
        return Issuer(self.folder.data("issuer"), issuer=f"{self.url}/.slipway", audience=self._audience())

    def _audience(self) -> str:
        tasks = self.world.tasks.values() if self.world else ()
        named = (one.environment["AUTH_AUDIENCE"] for one in tasks if "AUTH_AUDIENCE" in one.environment)
        return next(named, AUDIENCE)

    def _reap(self) -> None:
        """End services of a killed earlier run where the kernel does not do it (macOS)."""
        for row in (self.status.read() or {}).get("rows", ()):
            if row.get("pid") and row.get("born") and start_time(int(row["pid"])) == row["born"]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(int(row["pid"]), signal.SIGKILL)

    # --- down

    async def down(self, error: LabError | None = None) -> None:
        """Extras, services, front, servers; each step even when the one before failed."""
        self.error = error
        self.to("stopping" if error is None else "failed")
        if self.world is not None:
            self.world.stopping.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.supervisor.stop()
        if self._synth is not None:
            await asyncio.wait({self._synth}, timeout=INTERRUPT_SECONDS)
            await self.supervisor.stop()  # what the program still started meanwhile
        with contextlib.suppress(Exception):
            await self.front.stop()
        if self._servers is not None:
            await self._servers.stop()
        for name in SERVERS:
            self.rows[name].state = State.STOPPED
        self.to("stopped" if error is None else "failed")
        self.folder.close()

    def kill(self) -> None:
        """At once: the servers' keepers see this process end, and end them."""
        self.supervisor.kill()


def _hand_over(world: World, starting: asyncio.Future[Servers]) -> None:
    """Give the servers to the creators that wait for them, or the reason why there are none."""
    problem = None if starting.cancelled() else starting.exception()
    if starting.cancelled():
        interrupted = LabError("the start was interrupted", code="interrupted", exit_code=EXIT_INTERRUPTED)
        world.servers.set_exception(interrupted)
    elif problem is not None:
        world.servers.set_exception(problem)
    else:
        world.servers.set_result(starting.result())


def _config(options: Options) -> dict[str, str]:
    """What the servers must know before the program has run."""
    from lab.synth import read_stack  # noqa: PLC0415  it imports Pulumi: not before the front listens

    project, config, _ = read_stack(options.root, options.stack)
    return {
        "project": project,
        "account_id": config.get(f"{project}:account_id", "000000000000"),
        "region": config.get(f"{project}:region") or config.get("aws:region") or "us-east-1",
    }


def _synth(options: Options, world: World) -> Graph:
    """Compose the stack against this machine; on a worker thread, with its own event loop."""
    from lab.monitor import Monitor  # noqa: PLC0415  it imports Pulumi
    from lab.run.creators import LocalCreator  # noqa: PLC0415
    from lab.synth import synth  # noqa: PLC0415

    creator = LocalCreator(world)
    monitor = Monitor(creator, project=world.project, stack=world.stack, mode="resolved")
    creator.computed.monitor = monitor
    # a program imports some 20,000 classes, of which none is garbage: collecting between them costs a second
    gc.disable()
    try:
        return synth(options.root, options.stack, mode="resolved", monitor=monitor)
    finally:
        gc.enable()
