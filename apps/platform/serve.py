"""PID 1 of every app: starts it, turns signals into a drain, and keeps a hard deadline.

Granian on SIGTERM drops websocket clients without a close frame, so signals never reach it: they come here,
`/ready` turns 503, the app's drain hooks run, then Granian finishes its requests, then services stop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from apps.platform import log as logs
from apps.platform.health import Health, State
from apps.platform.lifecycle import Service, ServiceGroup
from apps.platform.log import Log
from apps.platform.settings import ServiceSettings, SettingsError, load_settings
from apps.platform.sockets import end_untaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

log = Log("slipway.serve")

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 2
#: How long Granian may take until it accepts connections before the start counts as failed.
START_SECONDS: Final = 20.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Application:
    """What an app hands to `serve`: its ASGI app, its services, and what must happen before sockets close."""

    asgi: Any
    services: Sequence[Service] = ()
    #: Run together as the drain's first step, with all of `drain_seconds`; the server still answers then.
    drain: Sequence[Callable[[], Awaitable[None]]] = ()
    #: Runs once the port answers and the services run; readiness waits for it.
    started: Sequence[Callable[[], Awaitable[None]]] = field(default=())


class StartError(Exception):
    """The process can't start; the message says what to do."""


def run(
    build: Callable[[SettingsT, Health], AbstractAsyncContextManager[Application]],
    contract: type[SettingsT],
) -> int:
    """Load the settings, serve until a signal, and return the exit code."""
    try:
        settings = load_settings(contract)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    logs.configure(level=settings.log_level, stack=settings.stack, service=settings.service)
    import uvloop  # noqa: PLC0415  # only a process that serves needs the loop

    try:
        return uvloop.run(serve(build, settings))
    except StartError as error:
        log.error("process.start_failed", reason=str(error))  # noqa: TRY400  # its message says it all
        return EXIT_FAILED


async def serve(
    build: Callable[[SettingsT, Health], AbstractAsyncContextManager[Application]],
    settings: SettingsT,
) -> int:
    """Serve until SIGTERM, SIGINT or a crash; returns the exit code."""
    health = Health()
    asked = _Signals()
    deadline = _HardDeadline(settings.shutdown_seconds)
    async with AsyncExitStack() as stack:
        asked.install()
        stack.callback(asked.remove)
        stack.callback(deadline.cancel)
        try:
            application = await stack.enter_async_context(build(settings, health))
        except Exception:
            health.to(State.FAILED, "start")
            log.exception("process.start_failed")
            return EXIT_FAILED
        code = await _Process(application, settings, health, asked, deadline).run()
    log.info("process.stopped", exit_code=code)
    return code


class _Process:
    """One run: port, services, wait, drain."""

    def __init__(
        self,
        application: Application,
        settings: ServiceSettings,
        health: Health,
        asked: _Signals,
        deadline: _HardDeadline,
    ) -> None:
        self.application = application
        self.settings = settings
        self.health = health
        self.asked = asked
        self.deadline = deadline
        self.group = ServiceGroup(application.services)
        self.server = _server(application.asgi, settings)
        self.serving: asyncio.Task[None] | None = None

    async def run(self) -> int:
        begun = time.monotonic()
        check_port_free(self.settings.bind_host, self.settings.port)
        self.serving = asyncio.create_task(self.server.serve(), name="granian")
        crashed = asyncio.create_task(self.group.crashed.wait())
        stopping = asyncio.create_task(self.asked.event.wait())
        try:
            await self._answers(self.serving)
            self.group.start()
            for hook in self.application.started:
                await hook()
            _rest_garbage()
            self.health.to(State.READY)
            log.info(
                "process.ready",
                host=self.settings.bind_host,
                port=self.settings.port,
                seconds=round(time.monotonic() - begun, 3),
            )
            await asyncio.wait((self.serving, crashed, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            code = self._verdict(self.serving)
            self.deadline.start(self.asked.name or "crash")
            await self._drain(self.serving)
            for task in (crashed, stopping):
                task.cancel()
        return code

    def _verdict(self, serving: asyncio.Task[None]) -> int:
        if self.group.crash is not None:
            self.health.to(State.FAILED, str(self.group.crash))
        elif serving.done():
            error = None if serving.cancelled() else serving.exception()
            self.health.to(State.FAILED, "server ended")
            log.error("server.crashed", error=error)
        elif self.asked.event.is_set():
            self.health.to(State.DRAINING, self.asked.name)
            return EXIT_OK
        else:
            self.health.to(State.FAILED, "start")
        return EXIT_FAILED

    async def _answers(self, serving: asyncio.Task[None]) -> None:
        """Wait until the port accepts a connection: only then may services and readiness follow."""
        host = "127.0.0.1" if self.settings.bind_host in {"0.0.0.0", "::"} else self.settings.bind_host  # noqa: S104  # compared, not bound
        end = time.monotonic() + START_SECONDS
        while not serving.done():
            try:
                _, writer = await asyncio.open_connection(host, self.settings.port)
            except OSError:
                if time.monotonic() > end:
                    break
                await asyncio.sleep(0.01)
                continue
            writer.close()
            if not end_untaken(self.settings.port, self.settings.write_timeout_seconds):
                log.warning(
                    "process.unbounded_writes", hint="a stalled peer's connection stays until it ends"
                )
            return
        raise StartError(f"the server does not answer on {host}:{self.settings.port}")

    async def _drain(self, serving: asyncio.Task[None]) -> None:
        """Hooks first (their sockets are open still), then server, then services, all bounded; ADR 0011."""
        begun = time.monotonic()

        def left() -> float:
            return max(self.settings.drain_seconds - (time.monotonic() - begun), 0.1)

        await _all(self.application.drain, left())
        # whether a balancer has stopped routing here before SIGTERM is not known: new requests still come
        linger = begun + self.settings.linger_seconds - time.monotonic()
        if linger > 0 and not serving.done():
            await asyncio.wait((serving,), timeout=min(linger, left()))
        if not serving.done():
            self.server.stop()
            _, late = await asyncio.wait((serving,), timeout=left())
            if late:
                log.warning("server.cut", after_seconds=round(time.monotonic() - begun, 1))
        await self.group.stop(left())
        log.info("process.drained", seconds=round(time.monotonic() - begun, 3))


async def _all(hooks: Sequence[Callable[[], Awaitable[None]]], seconds: float) -> None:
    if not hooks:
        return
    tasks = [asyncio.ensure_future(hook()) for hook in hooks]
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    if late:
        log.warning("drain.cut", hooks=len(late), after_seconds=seconds)
    for task in done:
        error = task.exception()
        if error is not None:
            log.error("drain.failed", error=error)


def _server(asgi: Any, settings: ServiceSettings) -> Server:
    return Server(
        asgi,
        address=settings.bind_host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        # the time for the next request's headers is also what closes an idle connection; it must be longer
        # than the load balancer keeps one, or the balancer writes into a connection that just closed
        http1_settings=HTTP1Settings(header_read_timeout=int(settings.keep_alive_seconds * 1000)),
        backlog=1024,
        log_enabled=False,
        log_access=False,
    )


def _rest_garbage() -> None:
    """Look for cycles seldom, and never in what was there at the start.

    A process that holds a million objects for its clients stood still for a second at each full collection,
    and young ones cost a twentieth of the time; what we allocate per frame and change has no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def check_port_free(host: str, port: int) -> None:
    """Refuse a port somebody holds: Granian sets SO_REUSEPORT and would share it without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"port {port} on {host} can't be used: {error.strerror}. "
                "hint: stop the process that holds it, or set PORT to a free one"
            ) from error


class _Signals:
    """SIGTERM and SIGINT ask for a drain; a second one ends the process at once."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.name = ""

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._asked, number)

    def remove(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _asked(self, number: signal.Signals) -> None:
        if self.event.is_set():
            log.warning("process.cut", signal=number.name)
            _exit_now(EXIT_FAILED)
        self.name = number.name
        log.info("process.signal", signal=number.name)
        self.event.set()


class _HardDeadline:
    """A thread, so that a blocked event loop can't outlive it either."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def start(self, why: str) -> None:
        self._timer = threading.Timer(self._seconds, self._hit, (why,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _hit(self, why: str) -> None:
        log.warning("process.deadline", after_seconds=self._seconds, asked_by=why)
        _exit_now(EXIT_FAILED)


def _exit_now(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
