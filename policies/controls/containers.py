"""Containers of a task: no privileges, nothing to write to, no secrets in what anybody may describe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from policies import secret_words
from policies.control import PASS, Verdict, fail, need, one
from policies.example import Example, example, res, to_json
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import Settings

TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
_TOKEN: Final = "arn:aws:ssm:us-east-1:111111111111:parameter/token"  # noqa: S105  an ARN
# capabilities by which a container reaches its host
_HOST_POWERS: Final = frozenset(
    ("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH")
)


def _task(**container: Any) -> Example:
    definitions = to_json([{"name": "api", "image": "api:1", **container}])
    return example(it=res("ecs/TaskDefinition", family="api", containerDefinitions=definitions))


def containers(task: Node) -> list[Mapping[str, Any]] | None:
    """The containers of a task; None for what is no list of them."""
    value: Any = task.known("containerDefinitions", "")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    many = cast("list[Any]", value) if isinstance(value, list) else []
    if UNKNOWN in many:
        raise UndecidedError("containerDefinitions")
    found = [cast("Mapping[str, Any]", each) for each in many if isinstance(each, Mapping)]
    return found if found and len(found) == len(many) else None


def _each(task: Node, offence: Callable[[Mapping[str, Any]], str | None]) -> Verdict:
    found = containers(task)
    if found is None:
        return fail("containerDefinitions is no list of containers")
    for index, container in enumerate(found):
        said = offence(container)
        if said:
            name = container.get("name")
            return fail(f"container {name if isinstance(name, str) else index} {said}")
    return PASS


@one(
    "SLP-CTN-001",
    "Containers have no power over their host",
    "critical",
    "identity",
    frameworks=maps("ECS.4", checkov="334"),
    rationale="A privileged container is root on the machine, and on every task that runs there.",
    remediation="leave `privileged` off, and add no capabilities such as SYS_ADMIN",
    applies_to=(TASK,),
    bad=(_task(privileged=True), _task(linuxParameters={"capabilities": {"add": ["SYS_ADMIN"]}})),
    good=(
        _task(privileged=False),
        _task(linuxParameters={"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}),
    ),
)
def privileged(task: Node, _settings: Settings) -> Verdict:
    """By the flag, or by what amounts to it."""

    def offence(container: Mapping[str, Any]) -> str | None:
        if container.get("privileged") not in (None, False):
            return "is privileged"
        added = _items(_block(_block(container, "linuxParameters"), "capabilities"), "add")
        powers = {str(each).upper().removeprefix("CAP_") for each in added}
        return "has capabilities of its host" if powers & _HOST_POWERS else None

    return _each(task, offence)


def _items(holder: Mapping[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _block(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


@one(
    "SLP-CTN-002",
    "Containers cannot write to their image",
    "high",
    "identity",
    frameworks=maps("ECS.5", checkov="336"),
    rationale="Whoever breaks in leaves nothing behind where nothing can be written.",
    remediation="set readonlyRootFilesystem, and mount a volume where the app must write",
    applies_to=(TASK,),
    bad=(_task(readonlyRootFilesystem=False), _task()),
    good=(_task(readonlyRootFilesystem=True),),
)
def read_only(task: Node, _settings: Settings) -> Verdict:
    """Every container of the task."""
    return _each(
        task,
        lambda container: (
            None if container.get("readonlyRootFilesystem") is True else "may write to its root"
        ),
    )


@one(
    "SLP-CTN-003",
    "Containers do not run as root",
    "high",
    "identity",
    frameworks=maps("ECS.20"),
    rationale="Root in a container is one bug of the kernel away from root of the host.",
    remediation="set `user` to an id above 0, such as 10001:10001",
    applies_to=(TASK,),
    bad=(_task(user="root"), _task(user="0:0"), _task(user="0"), _task()),
    good=(_task(user="10001:10001"), _task(user="app")),
)
def not_root(task: Node, _settings: Settings) -> Verdict:
    """The image's own user is not seen here, so the definition must say it."""

    def offence(container: Mapping[str, Any]) -> str | None:
        user = str(container.get("user") or "").partition(":")[0]
        return None if user not in ("", "root") and user.strip("0") else "runs as root"

    return _each(task, offence)


@one(
    "SLP-CTN-004",
    "Secrets do not stand in a container's environment",
    "critical",
    "identity",
    frameworks=maps("ECS.8", nag="ECS2"),
    rationale="Everybody who may describe the task reads its environment, and so does every log of it.",
    remediation="put it into a SecureString parameter, and name that in `secrets` as valueFrom",
    applies_to=(TASK,),
    bad=(
        _task(environment=[{"name": "DATABASE_PASSWORD", "value": "correct-horse"}]),
        _task(environment=[{"name": "DATABASE_URL", "value": "postgres://app:correct-horse@db/app"}]),
        _task(environment=[{"name": "A", "value": "b"}, {"name": "apiKey", "value": "AKIAABCDEFGHIJKLMNOP"}]),
    ),
    good=(
        _task(
            environment=[{"name": "TOKEN_TTL_SECONDS", "value": "60"}],
            secrets=[{"name": "TOKEN", "valueFrom": _TOKEN}],
        ),
        _task(),
    ),
)
def no_secrets(task: Node, _settings: Settings) -> Verdict:
    """By the variable's name or the value's shape; values are never repeated."""

    def offence(container: Mapping[str, Any]) -> str | None:
        given = _items(container, "environment")
        pairs = [cast("Mapping[str, Any]", each) for each in given if isinstance(each, Mapping)]
        return secret_words.variables(
            (str(each.get("name", "")), str(each.get("value", ""))) for each in pairs
        )

    return _each(task, offence)


@one(
    "SLP-CTN-005",
    "Tasks share nothing with their host",
    "high",
    "identity",
    frameworks=maps("ECS.3", checkov="335"),
    rationale="In the host's process or IPC space a container sees, and stops, what runs beside it.",
    remediation="leave pidMode and ipcMode out, or set them to task",
    applies_to=(TASK,),
    bad=(
        example(it=res("ecs/TaskDefinition", pidMode="host")),
        example(it=res("ecs/TaskDefinition", ipcMode="host")),
    ),
    good=(
        example(it=res("ecs/TaskDefinition", pidMode="task", ipcMode="none")),
        example(it=res("ecs/TaskDefinition", family="api")),
    ),
    absent="pass",
)
def hostless(task: Node, _settings: Settings) -> Verdict:
    """AWS's own default is a space per container."""
    shared = [key for key in ("pidMode", "ipcMode") if task.known(key, "") == "host"]
    return need(not shared, f"{''.join(shared[:1])} is host")


CONTROLS = (privileged, read_only, not_root, no_secrets, hostless)
