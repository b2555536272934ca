"""ECS task definitions and services, and the Lambda runner of one-off tasks: processes of this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab.errors import LabError
from lab.model import Resource
from lab.run import tasks
from lab.run.world import NotRun, World

Outputs = Mapping[str, Any]
RUNNER_HANDLER = (
    "handler.run"  # the one-off task component's function, which runs an ECS task and waits for it
)


def task_definition(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """Parsed, so that services and one-off tasks find it by ARN or family."""
    arn = str(computed["arn"])
    task = tasks.parse(arn, resource.inputs)
    for name in (arn, task.family, f"{task.family}:1", str(computed.get("arnWithoutRevision") or arn)):
        world.tasks[name] = task
    for other in task.others:
        world.not_run.append(
            NotRun(
                resource.type,
                f"{resource.name} ({other})",
                "only the first essential container runs here",
                known=True,
            )
        )
    return computed


def service(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """Started as soon as what it depends on is there."""
    world.processes.start_service(resource, world.task(str(resource.inputs["taskDefinition"])))
    return computed


def function(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """Remembered by name; the runner of one-off tasks is the only function that runs here."""
    handler = str(resource.inputs.get("handler", ""))
    for name in (computed.get("arn"), computed.get("id"), resource.inputs.get("name")):
        if name:
            world.functions[str(name)] = handler
    if handler != RUNNER_HANDLER:
        world.not_run.append(NotRun(resource.type, resource.name, "functions are not run here", known=True))
    return computed


def invocation(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """A one-off task of the deploy: run to its end here, before whatever depends on it."""
    name = str(resource.inputs["functionName"])
    if world.functions.get(name) != RUNNER_HANDLER:
        world.not_run.append(NotRun(resource.type, resource.name, "its function is not run here", known=True))
        return computed
    try:
        request: Any = json.loads(str(resource.inputs["input"]))
        wanted = str(request["taskDefinition"])
        overrides: Any = request.get("overrides") or {}
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"the invocation {resource.name!r} names no task definition",
            cause=f"its input is no JSON object with `taskDefinition`: {error}",
            hint='give input as {"cluster": ..., "taskDefinition": ...}',
            code="bad-invocation",
        ) from error
    more = {
        str(one["name"]): str(one["value"])
        for container in overrides.get("containerOverrides", ())
        for one in container.get("environment", ())
    }
    world.processes.run_task(world.task(wanted), more)
    return {**computed, "result": json.dumps({"exitCode": 0})}


MAKERS = {
    "aws:ecs/taskDefinition:TaskDefinition": task_definition,
    "aws:ecs/service:Service": service,
    "aws:lambda/function:Function": function,
    "aws:lambda/invocation:Invocation": invocation,
}
