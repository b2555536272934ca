"""Background work as services: one group starts them, watches them and drains them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterable

log = Log("slipway.lifecycle")


@runtime_checkable
class Service(Protocol):
    """A background job: `run` works until `stop` is set, then finishes what it holds and returns."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; returning before that, or raising, is a crash of the process."""
        ...


class ServiceCrashError(Exception):
    """A service ended although nobody asked it to: the process can't do its job any more."""

    def __init__(self, name: str, cause: BaseException | None) -> None:
        self.name = name
        why = "returned early" if cause is None else f"{type(cause).__name__}: {cause}"
        super().__init__(f"service {name} ended: {why}")


class ServiceGroup:
    """Starts services together; `crashed` is set as soon as one ends before `stop`."""

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._services = list(services)
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._stop = asyncio.Event()
        self.crashed = asyncio.Event()
        self.crash: ServiceCrashError | None = None

    def start(self) -> None:
        """Start every service in the order given."""
        for service in self._services:
            task = asyncio.create_task(service.run(self._stop), name=f"service:{service.name}")
            self._tasks[task] = service.name
            task.add_done_callback(self._ended)

    async def stop(self, seconds: float) -> list[str]:
        """Ask all to finish, cancel who has not after `seconds`; returns the names of the cancelled."""
        self._stop.set()
        if not self._tasks:
            return []
        _, late = await asyncio.wait(self._tasks, timeout=max(seconds, 0.0))
        names = sorted(self._tasks[task] for task in late)
        for task in late:
            task.cancel()
        if late:
            log.warning("service.cancelled", services=names, after_seconds=seconds)
            # a task that swallows its cancellation is left to the process's hard deadline
            await asyncio.wait(late, timeout=1.0)
        return names

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._tasks[task]
        error = None if task.cancelled() else task.exception()
        if self._stop.is_set():
            if error is not None:
                log.error("service.failed_while_stopping", name=name, error=error)
            return
        if self.crash is None:
            self.crash = ServiceCrashError(name, error)
        log.error("service.crashed", error=error, name=name)
        self.crashed.set()
