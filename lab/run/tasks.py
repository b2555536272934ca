"""Task definitions as they run here: the graph's command, environment and secrets, then the overrides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.run.world import Running

DEFAULT_STOP_SECONDS = 30.0  # ECS

# The whole list of what may differ from the task definition, with the reason; `up` prints it.
OVERRIDES: Mapping[str, str] = {
    "BIND_HOST": "loopback only",
    "PORT": "one port per process",
    "AWS_ENDPOINT_URL": "the AWS APIs of this machine",
    "AWS_ACCESS_KEY_ID": "the emulator's",
    "AWS_SECRET_ACCESS_KEY": "the emulator's",
    "AWS_SESSION_TOKEN": "the task's name, for the recording that `slipway iam` judges",
    "AWS_REGION": "the stack's, which ECS would set",
    "AWS_DEFAULT_REGION": "the stack's, which ECS would set",
    "DATABASE_CA_FILE": "the local certificate authority",
    "REDIS_CA_FILE": "the local certificate authority",
    "DATABASE_HOST": "the local PostgreSQL",
    "DATABASE_PORT": "the local PostgreSQL",
    "REDIS_HOST": "the local Valkey",
    "REDIS_PORT": "the local Valkey",
    "AUTH_ISSUER": "the local issuer",
    "AUTH_JWKS_URL": "the local issuer",
}
# set whether or not the task definition names them: ECS gives a task its region and keys by other means
_ALWAYS = frozenset(name for name in OVERRIDES if name.startswith("AWS_"))


@dataclass(frozen=True)
class TaskDefinition:
    """The container of a task definition that runs here."""

    arn: str
    family: str
    container: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]  # variable -> ARN
    ports: tuple[int, ...]
    stop_seconds: float
    others: tuple[str, ...] = ()  # further containers, which do not run here


def parse(arn: str, inputs: Mapping[str, Any]) -> TaskDefinition:
    """From the inputs of an `aws:ecs/taskDefinition:TaskDefinition`."""
    family = str(inputs.get("family", ""))
    try:
        document: Any = json.loads(str(inputs["containerDefinitions"]))
        containers = [cast("dict[str, Any]", one) for one in document]
        first = next((one for one in containers if one.get("essential", True)), containers[0])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise LabError(
            f"task definition {family!r} has no container definitions",
            cause=f"containerDefinitions is no JSON list of containers: {error}",
            hint="give containerDefinitions as a JSON list with at least one container",
            code="bad-task-definition",
        ) from error
    command = tuple(str(word) for word in (*(first.get("entryPoint") or ()), *(first.get("command") or ())))
    if not command:
        raise LabError(
            f"container {first.get('name')!r} of task definition {family!r} has no command",
            cause="its image would supply one, and images are not run here",
            hint='name the command in the container definition, such as ["python", "-m", "apps.api"]',
            code="bad-task-definition",
        )
    return TaskDefinition(
        arn=arn,
        family=family,
        container=str(first.get("name") or family),
        command=command,
        environment={str(one["name"]): str(one["value"]) for one in first.get("environment") or ()},
        secrets={str(one["name"]): str(one["valueFrom"]) for one in first.get("secrets") or ()},
        ports=tuple(int(one["containerPort"]) for one in first.get("portMappings") or ()),
        stop_seconds=float(first.get("stopTimeout") or DEFAULT_STOP_SECONDS),
        others=tuple(str(one.get("name")) for one in containers if one is not first),
    )


@dataclass(frozen=True)
class Addresses:
    """Where things are on this machine: the values of the overrides."""

    servers: Running
    front_url: str

    def values(self, port: int | None, caller: str = "") -> dict[str, str]:
        """Every override that has a value now."""
        postgres, redis = self.servers.postgres, self.servers.redis
        values = {
            "BIND_HOST": "127.0.0.1",
            **self.servers.aws.environment(caller),
            "DATABASE_CA_FILE": str(postgres.ca_file),
            "REDIS_CA_FILE": str(redis.ca_file),
            "DATABASE_HOST": postgres.host,
            "DATABASE_PORT": str(postgres.port),
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "AUTH_ISSUER": f"{self.front_url}/.slipway",
            "AUTH_JWKS_URL": f"{self.front_url}/.slipway/jwks.json",
        }
        if port is not None:
            values["PORT"] = str(port)
        return values


def environment(
    task: TaskDefinition,
    resolve: Callable[[str], str],
    addresses: Addresses,
    port: int | None,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What the process gets: the definition's variables, its secrets resolved, then the overrides."""
    given = {**task.environment, **(more or {})}
    for name, arn in task.secrets.items():
        given[name] = resolve(arn)
    redis_named = "REDIS_HOST" in given
    for name, value in addresses.values(port, task.family).items():
        # TLS to Valkey is checked against the system's authorities on AWS: here the file must be named
        wanted = name in _ALWAYS or name in given or (name == "REDIS_CA_FILE" and redis_named)
        if wanted or (name in {"BIND_HOST", "PORT"} and port is not None):
            given[name] = value
    return given


def resolver(client: Callable[[str], Any]) -> Callable[[str], str]:
    """`secrets.valueFrom` as ECS resolves it: an SSM parameter, or a secret with an optional JSON key."""

    def resolve(arn: str) -> str:
        service = arn.split(":")[2] if arn.startswith("arn:") else "ssm"
        try:
            if service == "secretsmanager":
                return _secret(client("secretsmanager"), arn)
            name = arn.partition(":parameter")[2] or arn
            found = client("ssm").get_parameter(Name=name, WithDecryption=True)
            return str(found["Parameter"]["Value"])
        except Exception as error:  # boto3's exceptions are made at run time
            raise LabError(
                f"the secret {arn} cannot be resolved",
                cause=f"{type(error).__name__}: {error}",
                hint="declare the parameter or secret in the stack, with a value",
                code="secret-missing",
            ) from error

    return resolve


def _secret(client: Any, arn: str) -> str:
    parts = arn.split(":")
    secret_id, rest = ":".join(parts[:7]), parts[7:]
    value = str(client.get_secret_value(SecretId=secret_id)["SecretString"])
    key = rest[0] if rest else ""
    return str(json.loads(value)[key]) if key else value
