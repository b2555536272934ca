"""Runs one ECS task and waits for it: the body of the deployment's Lambda, boto3 only."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 5.0
START_ATTEMPTS = 6


class Ecs(Protocol):
    """The three calls of the ECS API that this needs."""

    def run_task(self, **arguments: Any) -> dict[str, Any]: ...

    def describe_tasks(self, **arguments: Any) -> dict[str, Any]: ...

    def stop_task(self, **arguments: Any) -> dict[str, Any]: ...


class TaskFailed(Exception):  # noqa: N818 - Lambda prints the name as the error's type
    """The task did not start, did not finish in time, or ended with another exit code than 0."""


def run(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Lambda's entry; raising makes the invocation, and so the deployment, fail."""
    boto3 = importlib.import_module("boto3")  # of the Lambda runtime; the program itself calls no AWS API
    return run_task(event, boto3.client("ecs"))


def run_task(
    event: dict[str, Any],
    ecs: Ecs,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Start the task, wait until it has stopped, and answer only if every container ended with 0."""
    deadline = clock() + float(event["timeoutSeconds"])
    cluster = event["cluster"]
    task_arn = _start(event, ecs, sleep)
    while True:
        task = _describe(ecs, cluster, task_arn)
        if task is not None and task.get("lastStatus") == "STOPPED":
            break
        if clock() >= deadline:
            ecs.stop_task(cluster=cluster, task=task_arn, reason="the deployment's time for it is over")
            raise TaskFailed(
                f"{event['taskDefinition']} did not finish in {event['timeoutSeconds']} s and was stopped; "
                f"its log is {event['logGroup']}"
            )
        sleep(POLL_SECONDS)
    bad = [container for container in task.get("containers", []) if container.get("exitCode") != 0]
    if bad or not task.get("containers"):
        raise TaskFailed(
            f"{event['taskDefinition']} failed: {_reasons(task, bad)}; its log is {event['logGroup']}"
        )
    return {"taskArn": task_arn, "exitCode": 0}


def _start(event: dict[str, Any], ecs: Ecs, sleep: Callable[[float], object]) -> str:
    """The task's ARN; a lack of Fargate capacity is waited for a little, any other failure ends at once."""
    reasons = "no reason given"
    for attempt in range(START_ATTEMPTS):
        answer = ecs.run_task(
            cluster=event["cluster"],
            taskDefinition=event["taskDefinition"],
            launchType="FARGATE",
            count=1,
            enableECSManagedTags=True,
            propagateTags="TASK_DEFINITION",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": event["subnets"],
                    "securityGroups": event["securityGroups"],
                    "assignPublicIp": "DISABLED",
                }
            },
        )
        if answer.get("tasks"):
            return str(answer["tasks"][0]["taskArn"])
        found = [str(failure.get("reason", "")) for failure in answer.get("failures", [])]
        reasons = ", ".join(found) or reasons
        if not any("capacity" in reason.lower() for reason in found):
            break
        sleep(POLL_SECONDS * (attempt + 1))
    raise TaskFailed(f"{event['taskDefinition']} did not start: {reasons}")


def _describe(ecs: Ecs, cluster: str, task_arn: str) -> dict[str, Any] | None:
    """The task as ECS sees it; right after its start ECS may not know it yet."""
    tasks = ecs.describe_tasks(cluster=cluster, tasks=[task_arn]).get("tasks", [])
    return tasks[0] if tasks else None


def _reasons(task: dict[str, Any], bad: list[dict[str, Any]]) -> str:
    stopped = str(task.get("stoppedReason", "stopped"))
    each = [
        f"{container.get('name')} exit code {container.get('exitCode')} {container.get('reason', '')}".strip()
        for container in bad
    ]
    return "; ".join([stopped, *each])
