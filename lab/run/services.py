"""Turns ECS services and one-off tasks of the graph into processes; called by creators on worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lab.errors import EXIT_FINDINGS, LabError
from lab.run import tasks
from lab.run.front import Target
from lab.run.process import Spec
from lab.run.supervisor import Row, State, Supervised, Supervisor, free_port
from lab.run.tasks import Addresses, TaskDefinition

if TYPE_CHECKING:
    from lab.model import Resource
    from lab.run.front import Front
    from lab.run.stack import Options
    from lab.run.world import World


class Owner(Protocol):
    """What this needs of the stack that is coming up."""

    options: Options
    supervisor: Supervisor
    front: Front
    rows: dict[str, Row]
    world: World | None

    @property
    def url(self) -> str:
        """Where the front listens."""
        ...

    def changed(self) -> None:
        """A row moved."""
        ...


class Services:
    """Hands processes to the supervisor's event loop."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._names: set[str] = set()

    def check_replicas(self) -> None:
        """A wish for a service that the stack does not have is a mistake, not a wish to be ignored."""
        unknown = sorted(set(self._owner.options.replicas) - self._names - {""})
        if unknown:
            raise LabError(
                f"--replicas names no service of this stack: {', '.join(unknown)}",
                cause=f"the stack has: {', '.join(sorted(self._names)) or 'none'}",
                hint="slipway up --replicas NAME=NUMBER with one of these",
                code="usage",
            )

    def start_service(self, service: Resource, task: TaskDefinition) -> None:
        """One process per replica, with its targets in the groups that the service names."""
        base = task.container
        if base in self._names:
            base = service.name
        self._names.add(base)
        replicas = self._owner.options.replicas
        count = replicas.get(base, replicas.get("", 1))
        for number in range(1, count + 1):
            name = base if count == 1 else f"{base}-{number}"
            port = free_port() if task.ports or "PORT" in task.environment else None
            spec = self._spec(name, task, port, {})
            started = self._in_loop(lambda spec=spec: self._owner.supervisor.add(spec))
            for balancer in service.inputs.get("loadBalancers") or ():
                self._add_target(str(balancer.get("targetGroupArn")), name, port, started)

    def run_task(self, task: TaskDefinition, environment: Mapping[str, str]) -> None:
        """To its end; exit code 0 is success."""
        spec = self._spec(task.container, task, None, environment)
        row = Row(task.container, "task")
        code = self._in_loop_async(row, spec)
        if code != 0:
            words = row.detail.splitlines()
            raise LabError(
                f"one-off task {row.name!r} failed with {words[0] if words else code}",
                cause="\n".join(words[1:]) or "it printed nothing",
                hint=f"read the whole log: slipway logs {row.name}; services wait until it succeeds",
                code="task-failed",
                exit_code=EXIT_FINDINGS,
            )

    def _spec(self, name: str, task: TaskDefinition, port: int | None, more: Mapping[str, str]) -> Spec:
        owner, world = self._owner, self._owner.world
        if world is None:
            raise LabError("the stack has not begun", code="internal")
        given = tasks.environment(
            task, tasks.resolver(world.client), Addresses(world.running(), owner.url), port, more
        )
        return Spec(
            name=name,
            command=task.command,
            environment=given,
            cwd=owner.options.root,
            port=port,
            ready_path="/ready" if port is not None else None,
            stop_seconds=task.stop_seconds,
        )

    def _add_target(self, arn: str, name: str, port: int | None, started: Supervised) -> None:
        group = self._owner.front.routes.groups.get(arn)
        if group is not None and port is not None:
            group.targets.append(Target(name, port, lambda: started.row.state is State.READY))

    def _in_loop(self, make: Callable[[], Supervised]) -> Supervised:
        async def run() -> Supervised:
            return make()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _in_loop_async(self, row: Row, spec: Spec) -> Any:
        async def run() -> int:
            self._owner.rows[row.name] = row
            return await self._owner.supervisor.run_once(spec, row)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
