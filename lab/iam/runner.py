"""The calls of the Lambda that runs one-off tasks: its own code, run against a scripted ECS.

A local run does the runner's work itself, so no recording has these calls; each way through the handler that
makes a call is taken once instead.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from components.oneoff.handler import Ecs, TaskFailed, run_task
from lab.iam.facts import UnknownNeedError
from lab.iam.model import Call

_TASK: Final = "task"
_DONE: Final = {"taskArn": _TASK, "lastStatus": "STOPPED", "containers": [{"name": "c", "exitCode": 0}]}
_NEVER: Final = {"taskArn": _TASK, "lastStatus": "RUNNING"}


class _Scripted(Ecs):
    """Answers as told and remembers what it was asked."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._task = task

    def run_task(self, **arguments: Any) -> dict[str, Any]:
        self.calls.append(("RunTask", arguments))
        return {"tasks": [{"taskArn": _TASK}]}

    def describe_tasks(self, **arguments: Any) -> dict[str, Any]:
        self.calls.append(("DescribeTasks", arguments))
        return {"tasks": [dict(self._task)]}

    def stop_task(self, **arguments: Any) -> dict[str, Any]:
        self.calls.append(("StopTask", arguments))
        return {}


def calls_of_runner(request: str) -> list[Call]:
    """What the handler calls for this invocation: once to a good end, once until its time is over."""
    try:
        event: Any = json.loads(request)
        seconds = float(event["timeoutSeconds"])
    except (ValueError, KeyError, TypeError):
        raise UnknownNeedError("the input of a one-off task's invocation has no timeoutSeconds") from None
    found: list[Call] = []
    for task in (_DONE, _NEVER):
        ecs = _Scripted(task)
        times = iter(_clock(seconds))
        with contextlib.suppress(TaskFailed):
            run_task(event, ecs, sleep=lambda _seconds: None, clock=lambda times=times: next(times))
        found += [Call("", "ecs", operation=name, params=arguments) for name, arguments in ecs.calls]
    return found


def _clock(seconds: float) -> Sequence[float]:
    """The start, and then a moment at which the time is over."""
    return (0.0, seconds, seconds, seconds)
