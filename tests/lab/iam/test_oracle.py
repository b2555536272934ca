"""Slipway's evaluator against an independent one on hundreds of made-up policies.

The other one is @cloud-copilot/iam-simulate (npm, AGPL): a program that the tests install and run beside
themselves, locked in `oracle/`, and no part of what Slipway is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apps.console.node import Node, find_node
from lab.iam.evaluate import Request, context, decide
from policies.documents import parse

ORACLE = Path(__file__).with_name("oracle")
TOOLS = Path(__file__).parents[3] / ".tools"
CASES = 1000
WORDS = {"Allowed": "allowed", "ExplicitlyDenied": "denied", "ImplicitlyDenied": "not allowed"}
ACCOUNT = "arn:aws:sqs:us-east-1:000000000000"
# what the other one takes for granted in every request, and ours is told
GIVEN = {"aws:PrincipalAccount": "000000000000", "aws:ResourceAccount": "000000000000"}

REQUESTS = [
    ("sqs:ReceiveMessage", f"{ACCOUNT}:jobs"),
    ("sqs:SendMessage", f"{ACCOUNT}:jobs-dead"),
    ("s3:GetObject", "arn:aws:s3:::files/in/a.txt"),
    ("s3:ListBucket", "arn:aws:s3:::files"),
    ("ssm:GetParameters", "arn:aws:ssm:us-east-1:000000000000:parameter/a/b"),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-1-AbCdEf"),
    ("logs:PutLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:/a/b:log-stream:c"),
    ("ecr:GetAuthorizationToken", "*"),
]
ACTIONS = [
    "*",
    "sqs:*",
    "SQS:receive?essage",
    "sqs:SendMessage",
    "s3:Get*",
    "s3:*Bucket",
    "ssm:GetParameter?",
]
ACTIONS += ["logs:Put*", "ecr:GetAuthorizationToken", "secretsmanager:GetSecretValue", "iam:PassRole"]
RESOURCES = ["*", f"{ACCOUNT}:jobs", f"{ACCOUNT}:jobs*", f"{ACCOUNT}:j?bs", "arn:aws:sqs:*:*:*-dead"]
RESOURCES += ["arn:aws:s3:::files/*", "arn:aws:s3:::files", "arn:aws:s3:::${aws:PrincipalTag/team}/*"]
RESOURCES += ["arn:aws:ssm:us-east-1:000000000000:parameter/a/*", "arn:aws:logs:*:*:log-group:/a/*:*"]
RESOURCES += ["arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-*-??????"]
KEYS: dict[str, list[Any]] = {
    "aws:RequestedRegion": ["us-east-1", "eu-west-1"],
    "aws:SecureTransport": ["true", "false"],
    "aws:PrincipalTag/team": ["files", "*"],
    "aws:SourceIp": ["10.1.2.3", "203.0.113.9"],
    "aws:CurrentTime": ["2026-06-01T00:00:00Z"],
    "aws:MultiFactorAuthAge": ["100", "4000"],
    "aws:SourceArn": ["arn:aws:sns:us-east-1:000000000000:news"],
    "aws:TagKeys": [["a"], ["a", "b"], ["c"]],
}
CONDITIONS = [
    ("StringEquals", "aws:RequestedRegion", ["us-east-1", "us-west-2"]),
    ("StringNotEquals", "aws:RequestedRegion", ["us-east-1", "us-west-2"]),
    ("StringEqualsIgnoreCase", "aws:requestedregion", "US-EAST-1"),
    ("StringLike", "aws:RequestedRegion", "us-*"),
    ("StringNotLike", "aws:RequestedRegion", "us-????-1"),
    ("StringEqualsIfExists", "aws:PrincipalTag/team", "files"),
    ("StringEquals", "aws:PrincipalTag/team", "files"),
    ("Bool", "aws:SecureTransport", "false"),
    ("Bool", "aws:SecureTransport", "true"),
    ("BoolIfExists", "aws:SecureTransport", "true"),
    ("Null", "aws:PrincipalTag/team", "true"),
    ("Null", "aws:PrincipalTag/team", "false"),
    ("IpAddress", "aws:SourceIp", "10.0.0.0/8"),
    ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.0/24"]),
    ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z"),
    ("DateLessThan", "aws:CurrentTime", "2026-01-01T00:00:00Z"),
    ("NumericLessThan", "aws:MultiFactorAuthAge", "3600"),
    ("NumericGreaterThanEquals", "aws:MultiFactorAuthAge", "100"),
    ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:000000000000:n*"),
    ("ArnEquals", "aws:SourceArn", "arn:aws:sns:us-east-1:000000000000:other"),
    ("ArnNotLike", "aws:SourceArn", "arn:aws:sns:*:*:other"),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["a", "x"]),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"]),
    ("ForAnyValue:StringLike", "aws:TagKeys", "?"),
    ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["a"]),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", ["a"]),
    ("StringEquals", "aws:RequestedRegion", "${aws:PrincipalTag/team}"),
    ("StringNotEquals", "aws:RequestedRegion", "${aws:PrincipalTag/team}"),
    ("StringLike", "aws:PrincipalTag/team", "${*}"),
    ("StringEquals", "aws:PrincipalTag/team", "${aws:SourceIp, 'files'}"),
]


def statement(dice: random.Random) -> dict[str, Any]:
    """An Allow more often than a Deny, with every form that the grammar has."""
    made: dict[str, Any] = {
        "Effect": dice.choice(["Allow", "Allow", "Allow", "Deny"]),
        dice.choice(["Action", "Action", "Action", "NotAction"]): dice.sample(ACTIONS, dice.randint(1, 4)),
        dice.choice(["Resource", "Resource", "Resource", "NotResource"]): dice.sample(
            RESOURCES, dice.randint(1, 4)
        ),
    }
    for operator, key, values in dice.sample(CONDITIONS, dice.choice([0, 0, 1, 1, 2])):
        made.setdefault("Condition", {}).setdefault(operator, {})[key] = values
    return made


def case(dice: random.Random) -> dict[str, Any]:
    """A role with or without a boundary, and a request that has some of the keys."""
    action, resource = dice.choice(REQUESTS)
    keys = dice.sample(sorted(KEYS), dice.randint(0, len(KEYS)))
    return {
        "statements": [statement(dice) for _ in range(dice.randint(1, 4))],
        "boundary": [statement(dice) for _ in range(2)] if dice.random() < 0.25 else None,
        "action": action,
        "resource": resource,
        "context": {key: dice.choice(KEYS[key]) for key in keys},
    }


def ours(given: dict[str, Any]) -> str:
    """Slipway's verdict."""

    def documents(statements: list[Any] | None) -> list[Any]:
        return [parse({"Version": "2012-10-17", "Statement": statements}, "policy")]

    request = Request(given["action"], given["resource"], context({**GIVEN, **given["context"]}))
    edge = documents(given["boundary"]) if given["boundary"] else None
    return decide(documents(given["statements"]), request, edge).outcome


@pytest.fixture(scope="module")
def node() -> tuple[Node, Path]:
    """Node, and the folder with the other evaluator: installed once per lock file, without its scripts."""
    found = find_node()
    digest = hashlib.sha256((ORACLE / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = TOOLS / f"iam-oracle-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (TOOLS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(ORACLE / name, folder)
            words = [*found.npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(words, cwd=folder, env=found.environment(), check=True, timeout=150)
            (folder / "complete").touch()
        shutil.copy(ORACLE / "ask.mjs", folder)
    return found, folder


def asked(node: tuple[Node, Path], cases: list[dict[str, Any]]) -> list[str]:
    """The other one's verdicts."""
    found, folder = node
    words = [found.node, str(folder / "ask.mjs")]
    done = subprocess.run(
        words, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=120, cwd=folder
    )
    return [WORDS.get(each, each) for each in json.loads(done.stdout)]


def test_both_evaluators_say_the_same(node: tuple[Node, Path]) -> None:
    """1,000 roles and requests: every verdict equal, and each of the three often enough to mean something."""
    dice = random.Random(20261127)
    cases = [case(dice) for _ in range(CASES)]
    theirs = asked(node, cases)
    assert len(theirs) == CASES
    different = [
        (one, verdict, ours(one)) for one, verdict in zip(cases, theirs, strict=True) if ours(one) != verdict
    ]
    assert not different, f"{len(different)} of {CASES}, the first: {json.dumps(different[0], indent=1)}"
    for verdict in WORDS.values():
        assert theirs.count(verdict) > CASES / 20, verdict
