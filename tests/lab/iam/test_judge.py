"""Both sides of a role: what is called and not allowed, allowed and not called, and what lies next to it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pulumi_aws as aws
import pytest

from lab.iam.model import Call, Need
from lab.iam.waivers import Waiver
from tests.lab.iam.support import (
    ACCOUNT,
    QUEUE,
    REGION,
    URL,
    allow,
    call,
    found,
    judged,
    only,
    policy,
    role,
    task,
)

NEWS = f"arn:aws:sns:{REGION}:{ACCOUNT}:news"
RECEIVE = call("jobs", "sqs", "ReceiveMessage", QueueUrl=URL)
DELETE = call("jobs", "sqs", "DeleteMessageBatch", QueueUrl=URL)


def stack(*statements: dict[str, Any], **more: Any) -> Callable[[], None]:
    """A task with a role of these statements."""

    def program() -> None:
        task("jobs", role("jobs-task", *statements, **more))

    return program


EXACT = allow("sqs:ReceiveMessage", "sqs:DeleteMessage", on=QUEUE)


def test_a_role_that_has_exactly_what_is_called_passes() -> None:
    """Batches are the single action to IAM, and no neighbour of the queue is within reach."""
    report = judged(stack(EXACT), RECEIVE, DELETE)
    assert report.findings == []
    assert report.passed
    assert [need.action for need in report.roles[0].needs] == ["sqs:ReceiveMessage", "sqs:DeleteMessage"]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([allow("sqs:ReceiveMessage", on=QUEUE)], [("denied", "sqs:DeleteMessage", QUEUE)]),
        (
            [allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:SendMessage", on=QUEUE)],
            [("excess", "sqs:SendMessage", QUEUE), ("reach", "sqs:SendMessage", QUEUE)],
        ),
        (
            [allow("sqs:ReceiveMessage", "sqs:DeleteMessage", on=[QUEUE, f"{QUEUE}-dead"])],
            [("excess", "sqs:ReceiveMessage", f"{QUEUE}-dead")],
        ),
        (
            [EXACT, allow("s3:GetObject", on="arn:aws:s3:::files/*")],
            [("excess", "s3:GetObject", "arn:aws:s3:::files/*")],
        ),
        (
            [EXACT, {"Effect": "Deny", "Action": "sqs:Delete*", "Resource": "*"}],
            [("denied", "sqs:DeleteMessage", QUEUE)],
        ),
        ([allow("sqs:ReceiveMessage", "sqs:DeleteMessage", on=f"{QUEUE}*")], "neighbour"),
        ([allow("sqs:ReceiveMessage", "sqs:DeleteMessage", on="*")], "neighbour"),
        ([allow("sqs:*", on=QUEUE)], "sibling"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": QUEUE}], "sibling"),
    ],
    ids=["too little", "an action", "an ARN", "a statement", "a Deny", "prefix", "any", "sqs:*", "NotAction"],
)
def test_each_deviation_is_named(statements: list[dict[str, Any]], expected: Any) -> None:
    """One change to a sound role is found, and nothing else is said."""
    report = judged(stack(*statements), RECEIVE, DELETE)
    assert not report.passed
    if expected == "neighbour":
        assert {each.kind for each in report.findings} == {"reach"}
        assert any(f"{QUEUE}-neighbour" in each.message for each in report.findings)
    elif expected == "sibling":
        assert {each.kind for each in report.findings} == {"reach"}
        assert "sqs:AddPermission" in only(report).message
    else:
        assert found(report) == expected


def test_the_cross_product_of_a_statement_is_seen() -> None:
    """Each action and each ARN is used, but one queue is only read and the other only written."""
    other = f"{QUEUE}-out"
    program = stack(allow("sqs:ReceiveMessage", "sqs:SendMessage", on=[QUEUE, other]))
    report = judged(program, RECEIVE, call("jobs", "sqs", "SendMessage", QueueUrl=f"{URL}-out"))
    assert found(report) == [("reach", "sqs:SendMessage", QUEUE), ("reach", "sqs:ReceiveMessage", other)]


def test_a_role_that_nobody_takes_is_all_excess() -> None:
    """No task and no function names it."""
    report = judged(lambda: role("left", EXACT) and None)
    assert [each.kind for each in report.findings] == ["excess"]
    assert "is used by no call: sqs:ReceiveMessage, sqs:DeleteMessage" in only(report).message


def test_a_boundary_takes_away() -> None:
    """What the role's own policy allows and its boundary does not is denied."""

    def program() -> None:
        boundary = aws.iam.Policy("edge", name="edge", policy=policy(allow("sqs:ReceiveMessage", on="*")))
        task("jobs", role("jobs-task", EXACT, permissions_boundary=boundary.arn))

    finding = only(judged(program, RECEIVE, DELETE))
    assert (finding.kind, finding.action) == ("denied", "sqs:DeleteMessage")
    assert "permissions boundary" in finding.message


def test_an_attached_policy_of_the_stack_counts_and_one_of_aws_is_undecided() -> None:
    """What is in the graph is read; what is not is named, and a refusal is not claimed."""

    def program() -> None:
        made = role("jobs-task")
        shared = aws.iam.Policy("shared", name="shared", policy=policy(EXACT))
        aws.iam.RolePolicyAttachment("shared", role=made.name, policy_arn=shared.arn)
        aws.iam.RolePolicyAttachment("theirs", role=made.name, policy_arn="arn:aws:iam::aws:policy/X")
        task("jobs", made)

    sent = call("jobs", "sqs", "SendMessage", QueueUrl=URL)
    report = judged(program, RECEIVE, DELETE, sent)
    assert found(report) == [("undecided", "", "arn:aws:iam::aws:policy/X"), ("undecided", "", QUEUE)]


def test_a_call_that_is_not_in_the_table_is_undecided() -> None:
    """Never a guess; the role's other calls are judged."""
    report = judged(
        stack(EXACT), RECEIVE, DELETE, call("jobs", "sqs", "StartMessageMoveTask", SourceArn=QUEUE)
    )
    assert [each.kind for each in report.findings] == ["undecided"]
    assert "sqs StartMessageMoveTask is not in the table" in only(report).message


def test_calls_of_strangers_are_a_note() -> None:
    """A recording may be of a stack that has more services."""
    report = judged(stack(EXACT), RECEIVE, DELETE, call("gone", "sqs", "PurgeQueue", QueueUrl=URL))
    assert report.notes == ("the recording has calls of gone, which this stack does not have",)
    assert report.passed


def test_keys_are_told_apart_by_alias() -> None:
    """A queue under a key of the stack needs kms:Decrypt by way of SQS; the alias says which key, not its ARN."""

    def program(condition: dict[str, Any]) -> Callable[[], None]:
        def build() -> None:
            key = aws.kms.Key("key")
            aws.kms.Alias("key", name="alias/mine", target_key_id=key.key_id)
            aws.sqs.Queue("jobs", name="jobs", kms_master_key_id=key.arn)
            decrypt = allow("kms:Decrypt", on=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*", Condition=condition)
            task("jobs", role("jobs-task", EXACT, decrypt))

        return build

    exact = {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/mine"]},
        "StringEquals": {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"},
    }
    assert judged(program(exact), RECEIVE, DELETE).findings == []
    loose = {"StringEquals": {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}}
    finding = only(judged(program(loose), RECEIVE, DELETE))
    assert (finding.kind, finding.action) == ("reach", "kms:Decrypt")
    wrong = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    assert {each.kind for each in judged(program(wrong), RECEIVE, DELETE).findings} == {"denied", "excess"}


def test_what_ecs_and_lambda_do_comes_from_the_graph() -> None:
    """Pulling, logging and reading secrets under the execution role; polling and tracing under a function's."""

    def program() -> None:
        execution = role("execution", *AGENT)
        container = {
            "name": "api",
            "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/apps:1",
            "secrets": [{"name": "A", "valueFrom": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a"}],
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/api"}},
        }
        aws.ecs.TaskDefinition(
            "api",
            family="api",
            container_definitions=json.dumps([container]),
            execution_role_arn=execution.arn,
        )
        poller = role("poller", *POLLER)
        function = aws.lambda_.Function("f", name="f", role=poller.arn, tracing_config={"mode": "Active"})
        queue = aws.sqs.Queue("jobs", name="jobs")
        aws.lambda_.EventSourceMapping("f", event_source_arn=queue.arn, function_name=function.name)

    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
    agent = [
        allow("ecr:GetAuthorizationToken", on="*"),
        allow(
            *("ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"),
            on=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/apps",
        ),
        allow("ssm:GetParameters", on=f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a"),
        allow("logs:CreateLogStream", "logs:PutLogEvents", on=f"{logs}/api:*"),
    ]
    poller = [
        allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", on=QUEUE),
        allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", on="*"),
        allow("logs:CreateLogStream", "logs:PutLogEvents", on=f"{logs}/aws/lambda/f:*"),
    ]
    for drop in range(-1, len(agent) + len(poller)):
        kept = [each for place, each in enumerate([*agent, *poller]) if place != drop]
        AGENT[:] = [each for each in kept if each in agent]
        POLLER[:] = [each for each in kept if each in poller]
        kinds = {each.kind for each in judged(program).findings}
        assert kinds == (set() if drop < 0 else {"denied"}), drop


AGENT: list[dict[str, Any]] = []
POLLER: list[dict[str, Any]] = []


def test_ecs_exec_is_needed_only_where_the_service_allows_it() -> None:
    """The four actions of ssmmessages are excess on a service without it."""
    actions = [
        f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")
    ]

    def program(enabled: bool) -> Callable[[], None]:
        def build() -> None:
            definition = task("jobs", role("jobs-task", allow(*actions, on="*")))
            aws.ecs.Service("jobs", task_definition=definition.arn, enable_execute_command=enabled)

        return build

    assert judged(program(enabled=True)).passed
    assert [each.kind for each in judged(program(enabled=False)).findings] == ["excess"]


def test_a_waiver_covers_its_finding_until_its_day() -> None:
    """Then, and when it covers nothing or everything, it is a problem itself; a refusal is never waived."""

    def waiver(**more: Any) -> Waiver:
        given = {"role": "jobs-task", "kind": "excess", "action": "sqs:SendMessage", "owner": "me"}
        return Waiver.model_validate(
            {**given, "reason": "an operator sends by hand", "expires": "2027-01-01", **more}
        )

    program = stack(EXACT, allow("sqs:SendMessage", on=QUEUE.replace("jobs", "out")))
    before, after = dt.date(2027, 1, 1), dt.date(2027, 1, 2)
    covered = judged(program, RECEIVE, DELETE, waivers=(waiver(),), today=before)
    assert covered.passed
    assert only(covered).waiver == "an operator sends by hand (me)"
    expired = judged(program, RECEIVE, DELETE, waivers=(waiver(),), today=after)
    assert expired.problems == ("waiver for excess of jobs-task expired on 2027-01-01",)
    assert len(expired.failing) == 1
    unused = judged(program, RECEIVE, DELETE, waivers=(waiver(), waiver(action="sqs:P*")), today=before)
    assert "covers nothing" in unused.problems[0]
    broad = judged(program, RECEIVE, DELETE, waivers=(waiver(action="*"),), today=before)
    assert "too broad" in broad.problems[0]
    elsewhere = judged(program, RECEIVE, DELETE, waivers=(waiver(stacks=["prod"]),), today=before)
    assert elsewhere.problems == ()
    with pytest.raises(ValueError, match="kind"):
        waiver(kind="denied")


def test_neighbours_leave_out_what_aws_chooses() -> None:
    """Account, region and each name vary; a part in braces does not, and properties vary where they identify."""
    need = Need("ecs:StopTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/main/{{id}}", "")
    assert [each.resource for each in need.neighbours()] == [
        f"arn:aws:ecs:eu-north-9:{ACCOUNT}:task/main/{{id}}",
        f"arn:aws:ecs:{REGION}:999999999999:task/main/{{id}}",
        f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/main-neighbour/{{id}}",
    ]
    secret = Need("a:B", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-{{id}}", "")
    assert [each.resource for each in secret.neighbours()][2:] == [
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-neighbour-{{id}}"
    ]
    assert list(Need("a:B", "*", "").neighbours()) == []
    managed = Need(
        "a:B", f"arn:aws:secretsmanager::{ACCOUNT}:secret:rds!db-{{id}}", "", properties={"tag": "db"}
    )
    others = list(managed.neighbours())
    assert [each.properties for each in others] == [{"tag": "db"}, {"tag": ("db-neighbour",)}]
    assert others[1].resource == managed.resource


def rest(method: str, path: str, *query: str, source: str = "") -> Call:
    """A request of S3."""
    return Call("jobs", "s3", REGION, method=method, path=path, query=query, source=source)


@pytest.mark.parametrize(
    ("made", "actions"),
    [
        (rest("GET", "/b/k"), ["s3:GetObject arn:aws:s3:::b/{key}"]),
        (rest("HEAD", "/b/in/k"), ["s3:GetObject arn:aws:s3:::b/in/{key}"]),
        (rest("PUT", "/b/in/x/k", "partNumber", "uploadId"), ["s3:PutObject arn:aws:s3:::b/in/{key}"]),
        (
            rest("PUT", "/b/k", source="/other/in/k"),
            ["s3:PutObject arn:aws:s3:::b/{key}", "s3:GetObject arn:aws:s3:::other/in/{key}"],
        ),
        (rest("DELETE", "/b/k", "uploadId"), ["s3:AbortMultipartUpload arn:aws:s3:::b/{key}"]),
        (rest("GET", "/b", "list-type", "prefix"), ["s3:ListBucket arn:aws:s3:::b"]),
        (rest("POST", "/b", "delete"), ["s3:DeleteObject arn:aws:s3:::b/{key}"]),
        (rest("GET", "/b", "policy"), []),
        (call("jobs", "sns", "PublishBatch", TopicArn=NEWS), [f"sns:Publish {NEWS}"]),
        (
            call("jobs", "ssm", "GetParameters", Names=["/a/b", "c:3"]),
            [f"ssm:GetParameters arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}" for name in ("a/b", "c")],
        ),
        (
            call("jobs", "dynamodb", "Query", TableName="t", IndexName="i"),
            [f"dynamodb:Query arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t/index/i"],
        ),
        (
            call("jobs", "dynamodb", "TransactWriteItems", TransactItems=[{"Put": {"TableName": "t"}}]),
            [f"dynamodb:PutItem arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t"],
        ),
        (
            call("jobs", "events", "PutEvents", Entries=[{"EventBusName": "bus"}, {}]),
            [
                f"events:PutEvents arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"
                for name in ("bus", "default")
            ],
        ),
        (
            call("jobs", "secretsmanager", "GetSecretValue", SecretId="app"),
            [f"secretsmanager:GetSecretValue arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-{{id}}"],
        ),
        (
            Call("jobs", "lambda", REGION, method="POST", path="/2015-03-31/functions/f/invocations"),
            [f"lambda:InvokeFunction arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"],
        ),
        (call("jobs", "monitoring", "PutMetricData"), ["cloudwatch:PutMetricData *"]),
        (call("jobs", "sts", "GetCallerIdentity"), []),
    ],
    ids=str,
)
def test_calls_become_actions_on_arns(made: Call, actions: list[str]) -> None:
    """Operation to action to ARN, where the names differ too; what has none is undecided or needs nothing."""
    report = judged(stack(), made)
    assert [f"{need.action} {need.resource}" for need in report.roles[0].needs] == actions


def test_a_role_of_elsewhere_and_a_broken_definition_are_said() -> None:
    """The rest is judged all the same."""

    def program() -> None:
        task("jobs", role("jobs-task", EXACT))
        broken = role("broken")
        aws.ecs.TaskDefinition("b", family="b", container_definitions="{", execution_role_arn=broken.arn)
        aws.lambda_.Function("f", name="f", role=f"arn:aws:iam::{ACCOUNT}:role/elsewhere")

    report = judged(program, RECEIVE, DELETE)
    assert [(each.role, each.message) for each in report.findings] == [
        ("broken", "the containers of task definition b are no JSON")
    ]
    assert report.notes == (
        f"the stack names arn:aws:iam::{ACCOUNT}:role/elsewhere and does not make it: not judged",
    )
