"""Small stacks of roles, resolved, and calls as a recording has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi_aws as aws

from lab.iam.facts import Facts
from lab.iam.judge import Report, judge
from lab.iam.model import Call, Finding
from lab.iam.recording import Recording
from lab.iam.waivers import Waiver
from lab.synth import compose

ACCOUNT, REGION = "000000000000", "us-east-1"  # of a program without a provider of its own
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
URL = f"http://localhost:1/{ACCOUNT}/jobs"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


def allow(*actions: str, on: str | list[str], **more: Any) -> dict[str, Any]:
    """One Allow."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def policy(*statements: dict[str, Any]) -> str:
    """A document as the stack has it: text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def role(name: str, *statements: dict[str, Any], **more: Any) -> aws.iam.Role:
    """A role with one inline policy."""
    made = aws.iam.Role(name, name=name, assume_role_policy=TRUST, **more)
    if statements:
        aws.iam.RolePolicy(name, name="own", role=made.name, policy=policy(*statements))
    return made


def task(family: str, task_role: aws.iam.Role, **container: Any) -> aws.ecs.TaskDefinition:
    """A task definition whose calls are those recorded under its family."""
    document = json.dumps([{"name": family, "image": "x", **container}])
    return aws.ecs.TaskDefinition(
        family, family=family, container_definitions=document, task_role_arn=task_role.arn
    )


def facts(program: Callable[[], object], stack: str = "dev", account: str = ACCOUNT) -> Facts:
    """The program's graph, resolved."""
    config = {"aws:region": REGION, "slipway:account_id": account, "slipway:region": REGION}
    return Facts(compose(program, stack=stack, mode="resolved", config=config), account, REGION)


def call(who: str, service: str, operation: str, **params: Any) -> Call:
    """A call of a JSON API."""
    return Call(who, service, REGION, operation, params)


def judged(
    program: Callable[[], object], *calls: Call, waivers: tuple[Waiver, ...] = (), **options: Any
) -> Report:
    """The program's roles, judged by these calls."""
    return judge(facts(program), Recording(Path("calls.jsonl"), calls), waivers, **options)


def found(report: Report) -> list[tuple[str, str, str]]:
    """Kind, action and resource of each finding."""
    return [(each.kind, each.action, each.resource) for each in report.findings]


def only(report: Report) -> Finding:
    """The single finding."""
    (finding,) = report.findings
    return finding
