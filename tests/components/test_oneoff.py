"""The one-off task: what its Lambda does with every end of a task, and what it may do."""

from __future__ import annotations

import json
from typing import Any

import pulumi_aws as aws
import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from components.key import Key
from components.links import Link
from components.network.component import Network
from components.network.config import NetworkConfig
from components.oneoff import handler
from components.oneoff.component import OneOffTask
from components.service.cluster import Cluster
from components.service.config import ServiceConfig
from components.service.image import Image
from tests.components.support import CTX, MODES, UNKNOWN, document, run

EVENT: dict[str, Any] = {
    "cluster": "arn:aws:ecs:us-east-1:111111111111:cluster/slipway-dev-realtime",
    "taskDefinition": "arn:aws:ecs:us-east-1:111111111111:task-definition/slipway-dev-migrations:3",
    "subnets": ["subnet-a"],
    "securityGroups": ["sg-a"],
    "timeoutSeconds": 60,
    "logGroup": "/slipway/dev/realtime/migrations",
}


class FakeEcs:
    """ECS with a script: what each call answers, in turn; the last answer stays."""

    def __init__(self, starts: list[dict[str, Any]], looks: list[dict[str, Any]]) -> None:
        self.starts, self.looks = starts, looks
        self.started: list[dict[str, Any]] = []
        self.stopped: list[dict[str, Any]] = []

    def run_task(self, **arguments: Any) -> dict[str, Any]:
        self.started.append(arguments)
        return self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]

    def describe_tasks(self, **arguments: Any) -> dict[str, Any]:
        assert arguments == {"cluster": EVENT["cluster"], "tasks": ["arn:task"]}
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def stop_task(self, **arguments: Any) -> dict[str, Any]:
        self.stopped.append(arguments)
        return {}


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


STARTED = {"tasks": [{"taskArn": "arn:task"}], "failures": []}


def stopped(**container: Any) -> dict[str, Any]:
    """A task that has ended."""
    return {
        "tasks": [
            {
                "lastStatus": "STOPPED",
                "stoppedReason": "Essential container in task exited",
                "containers": [{"name": "migrations", **container}],
            }
        ]
    }


def go(ecs: FakeEcs) -> tuple[dict[str, Any], Clock]:
    """Run the handler's body on fake time."""
    clock = Clock()
    return handler.run_task(EVENT, ecs, sleep=clock.sleep, clock=clock), clock


def test_it_waits_until_the_task_has_stopped() -> None:
    """A task that ECS does not know yet, then runs, then ends with 0 is a success."""
    ecs = FakeEcs([STARTED], [{"tasks": []}, {"tasks": [{"lastStatus": "RUNNING"}]}, stopped(exitCode=0)])
    answer, clock = go(ecs)
    assert answer == {"taskArn": "arn:task", "exitCode": 0}
    assert clock.now == 2 * handler.POLL_SECONDS
    network = ecs.started[0]["networkConfiguration"]["awsvpcConfiguration"]
    assert network == {"subnets": ["subnet-a"], "securityGroups": ["sg-a"], "assignPublicIp": "DISABLED"}
    assert ecs.started[0]["taskDefinition"] == EVENT["taskDefinition"]


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (stopped(exitCode=1), "migrations exit code 1"),
        (stopped(reason="CannotPullContainerError"), "exit code None CannotPullContainerError"),
        ({"tasks": [{"lastStatus": "STOPPED", "containers": []}]}, "failed: stopped"),
    ],
)
def test_any_other_end_fails_and_names_the_log(look: dict[str, Any], words: str) -> None:
    """A non-zero exit, a container that never started, a task without containers: each fails the deployment."""
    with pytest.raises(handler.TaskFailed, match=words) as caught:
        go(FakeEcs([STARTED], [look]))
    assert EVENT["logGroup"] in str(caught.value)


def test_a_task_that_never_ends_is_stopped() -> None:
    """After its time it is stopped, so that it can't go on beside the next deployment's."""
    ecs = FakeEcs([STARTED], [{"tasks": [{"lastStatus": "RUNNING"}]}])
    with pytest.raises(handler.TaskFailed, match="did not finish in 60 s"):
        go(ecs)
    assert ecs.stopped[0]["task"] == "arn:task"


def test_a_lack_of_capacity_is_waited_for() -> None:
    """Fargate is full for a moment: the start is tried again."""
    full = {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time"}]}
    ecs = FakeEcs([full, full, STARTED], [stopped(exitCode=0)])
    assert go(ecs)[0]["exitCode"] == 0
    assert len(ecs.started) == 3


def test_capacity_that_never_comes_and_other_refusals_end() -> None:
    """The attempts are bounded, and what waiting can't mend is not tried again."""
    full = FakeEcs([{"failures": [{"reason": "Capacity is unavailable at this time"}]}], [{}])
    with pytest.raises(handler.TaskFailed, match="did not start: Capacity"):
        go(full)
    assert len(full.started) == handler.START_ATTEMPTS
    missing = FakeEcs([{"failures": [{"reason": "MISSING"}]}], [{}])
    with pytest.raises(handler.TaskFailed, match="did not start: MISSING"):
        go(missing)
    assert len(missing.started) == 1


# --- the component


class JobSettings(BaseSettings):
    """A small app contract."""

    stack: str
    service: str
    job_password: SecretStr


def program(timeout: int = 780) -> None:
    """A one-off task with one secret."""
    key = Key("key", ctx=CTX, tier="security", purpose="stack")
    network = Network("network", NetworkConfig(), ctx=CTX, key=key)
    cluster = Cluster("jobs", ctx=CTX, tier="jobs", key=key)
    link = Link(
        name="db",
        secrets={"JOB_PASSWORD": CTX.parameter_arn("/slipway/dev/data/job-password")},
        kms_aliases=(key.alias,),
        depends_on=(
            aws.ssm.Parameter(
                "job-password", name="/slipway/dev/data/job-password", type="SecureString", value="x"
            ),
        ),
    )
    OneOffTask(
        "job",
        ServiceConfig(),
        ctx=CTX,
        tier="jobs",
        network=network,
        cluster=cluster,
        image=Image(uri="example.com/job:1"),
        key=key,
        settings=JobSettings,
        command=("python", "-m", "job"),
        links=(link,),
        timeout_seconds=timeout,
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_runner_may_run_this_task_only(mode: str) -> None:
    """Exact task, exact cluster, exact roles handed to ECS only; all known at preview."""
    found = run(program, mode=mode)
    by_sid = {
        each["Sid"]: each
        for each in document(found.one("RolePolicy", "job-runner-lambda").inputs["policy"])["Statement"]
    }
    assert by_sid["RunThisTask"]["Resource"] == [
        "arn:aws:ecs:us-east-1:111111111111:task-definition/slipway-dev-job:*"
    ]
    cluster = "arn:aws:ecs:us-east-1:111111111111:cluster/slipway-dev-jobs"
    assert by_sid["RunThisTask"]["Condition"] == {"ArnEquals": {"ecs:cluster": cluster}}
    assert by_sid["HandOverRoles"]["Resource"] == [
        "arn:aws:iam::111111111111:role/slipway-dev-job-execution",
        "arn:aws:iam::111111111111:role/slipway-dev-job-task",
    ]
    assert by_sid["HandOverRoles"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }
    runner = document(found.one("iam/role:Role", "job-runner-lambda").inputs["assumeRolePolicy"])
    assert runner["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceAccount": "111111111111"}}
    assert {each.inputs["name"] for each in found.of("iam/role:Role")} >= {
        "slipway-dev-job-execution",
        "slipway-dev-job-task",
    }


def test_each_revision_and_each_new_parameter_runs_once() -> None:
    """The invocation is triggered by the task's revision and what it reads, and passes on where to run it."""
    done = run(program, mode="resolved").one("Invocation")
    arn = "arn:aws:ecs:us-east-1:111111111111:task-definition/job:1"
    assert done.inputs["triggers"] == {"taskDefinition": arn, "job-password": "1"}
    event = json.loads(done.inputs["input"])
    assert event["taskDefinition"] == arn
    assert event["subnets"] == ["network-private-a-id", "network-private-b-id"]
    assert event["logGroup"] == "/slipway/dev/jobs/job"
    assert run(program).one("Invocation").inputs["triggers"] == {
        "taskDefinition": UNKNOWN,
        "job-password": UNKNOWN,
    }


def test_the_handler_is_what_the_lab_recognises() -> None:
    """`handler.run` is in the archive, in time for the task, on the runtime that holds boto3."""
    function = run(program).one("lambda/function:Function").inputs
    assert function["handler"] == "handler.run"
    assert function["runtime"] == "python3.13"
    assert function["timeout"] == 840
    assert function["loggingConfig"]["logGroup"] == "/slipway/dev/jobs/job-runner"


@pytest.mark.parametrize("timeout", [0, 841])
def test_a_time_beyond_lambdas_own_is_refused(timeout: int) -> None:
    """Lambda ends after 900 s; a longer wait would fail without a reason."""
    with pytest.raises(ValueError, match="one-off task job: timeout_seconds"):
        run(lambda: program(timeout))
