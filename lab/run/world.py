"""What a creator may reach: the servers of this run, AWS clients, remembered values, and the processes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.model import Resource
    from lab.run.front import Routes
    from lab.run.memory import Memory
    from lab.run.tasks import TaskDefinition
    from lab.servers import AwsEndpoint, PostgresServer, RedisServer

CONNECT_SECONDS = 5
READ_SECONDS = 30
LAB_CALLER = "slipway-lab"  # what the lab itself calls is no service's call


class Running(Protocol):
    """The servers once they have started."""

    postgres: PostgresServer
    redis: RedisServer
    aws: AwsEndpoint


class Processes(Protocol):
    """What the run does with what the graph says should run; called on worker threads."""

    def start_service(self, service: Resource, task: TaskDefinition) -> None:
        """Start it and go on; readiness is waited for elsewhere."""
        ...

    def run_task(self, task: TaskDefinition, environment: Mapping[str, str]) -> None:
        """Run a one-off task to its end; a LabError when it fails."""
        ...


@dataclass(frozen=True)
class NotRun:
    """A resource that has nothing to do on this machine, and why."""

    type: str
    name: str
    reason: str
    known: bool


@dataclass
class World:
    """One run of one stack."""

    project: str
    stack: str
    account_id: str
    region: str
    memory: Memory
    routes: Routes
    processes: Processes
    servers: Future[Running] = field(default_factory=Future["Running"])
    tasks: dict[str, TaskDefinition] = field(default_factory=dict[str, "TaskDefinition"])
    functions: dict[str, str] = field(default_factory=dict[str, str])  # name or ARN -> handler
    not_run: list[NotRun] = field(default_factory=list[NotRun])
    stopping: threading.Event = field(default_factory=threading.Event)
    _clients: dict[str, Any] = field(default_factory=dict[str, Any])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def running(self) -> Running:
        """The servers; waits until they have started."""
        return self.servers.result()

    def client(self, service: str) -> Any:
        """A boto3 client for the AWS endpoint of this run, made once."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = aws_client(self.running().aws, service)
            return self._clients[service]

    def task(self, name: str) -> TaskDefinition:
        """A task definition by ARN, family:revision or family."""
        found = self.tasks.get(name)
        if found is None:
            families = sorted({task.family for task in self.tasks.values()})
            raise LabError(
                f"task definition {name!r} is not in the stack",
                cause=f"the stack has: {', '.join(families) or 'none'}",
                hint="name a task definition of this stack",
                code="unknown-task",
            )
        return found


def aws_client(endpoint: AwsEndpoint, service: str) -> Any:
    """The one place that makes boto3 clients here: local endpoint, dummy keys, short patience."""
    import boto3  # noqa: PLC0415  200 ms that verbs other than `up` do not pay
    from botocore.config import Config  # noqa: PLC0415

    # its type is one overload per service, and the service is a variable here
    make: Any = cast("Any", boto3).Session().client
    client: Any = make(
        service,
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        aws_session_token=None if endpoint.external else LAB_CALLER,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"},
            max_pool_connections=16,
        ),
    )
    return client
