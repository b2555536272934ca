"""What the emulator notes of a request, and how the note is read and turned into another stack's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pulumi_aws as aws
import pytest
from botocore.config import Config

from lab.errors import LabError
from lab.iam.recording import Recording, read, translated
from lab.servers import AwsEndpoint, Emulator, State, wipe
from lab.servers.emulator import calls_file
from lab.servers.emulator_calls import MAX_BODY, MAX_CALLS, Calls, call
from tests.lab.iam.support import call as made
from tests.lab.iam.support import facts

SIGNED = {
    "authorization": "AWS4-HMAC-SHA256 Credential=1/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=a"
}


async def test_real_clients_are_recorded_as_they_call(tmp_path: Path) -> None:
    """JSON, query and REST protocols, presigned URLs, refused calls; each kind once, no value, no secret."""
    with State(tmp_path / "home") as state:
        emulator = Emulator(
            state, account_id="210987654321", region="eu-central-1", durable=False, record=True
        )
        try:
            await exercise(await emulator.start())
            found = calls_file(state.home).read_text()
        finally:
            await emulator.stop()
    wipe(tmp_path / "home")
    assert "hunter2" not in found
    lines = [json.loads(line) for line in found.splitlines()]
    shown = [
        f"{one['service']} {one.get('operation') or ' '.join([one['method'], one['path'], *one['query']])}"
        for one in lines
    ]
    assert {one["who"] for one in lines} == {"the-task"}
    assert shown == [
        "sqs CreateQueue",
        "sqs SendMessage",
        "secretsmanager GetSecretValue",
        "sns CreateTopic",
        "sns Publish",
        "s3 PUT /files",
        "s3 PUT /files/in/a b",
        "s3 GET /files/in/a b",
        "monitoring PutMetricData",
        "dynamodb BatchGetItem",
    ]
    assert lines[1]["params"]["QueueUrl"].endswith("/210987654321/jobs")
    assert lines[2]["params"] == {"SecretId": "nobody"}
    assert lines[-1]["params"] == {"RequestItems": ["seen"]}


async def exercise(endpoint: AwsEndpoint) -> None:
    """One call of each protocol, some twice."""
    import asyncio  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=endpoint.url,
            region_name=endpoint.region,
            aws_access_key_id=endpoint.access_key_id,
            aws_secret_access_key=endpoint.secret_access_key,
            aws_session_token="the-task",
            config=Config(
                s3={"addressing_style": "path"}, signature_version="v4" if service != "s3" else "s3v4"
            ),
        )

    def run() -> None:
        sqs, s3 = client("sqs"), client("s3")
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        for _ in range(3):
            sqs.send_message(QueueUrl=url, MessageBody="hunter2")
        with pytest.raises(Exception, match="ResourceNotFound"):
            client("secretsmanager").get_secret_value(SecretId="nobody")
        topic = client("sns").create_topic(Name="news")["TopicArn"]
        client("sns").publish(TopicArn=topic, Message="hunter2")
        s3.create_bucket(Bucket="files", CreateBucketConfiguration={"LocationConstraint": endpoint.region})
        s3.put_object(Bucket="files", Key="in/a b", Body=b"hunter2")
        there = s3.generate_presigned_url("get_object", Params={"Bucket": "files", "Key": "in/a b"})
        assert urllib.request.urlopen(there, timeout=10).read() == b"hunter2"
        client("cloudwatch").put_metric_data(
            Namespace="n", MetricData=[{"MetricName": "hunter2", "Value": 1}]
        )
        with pytest.raises(Exception, match="ResourceNotFound"):
            client("dynamodb").batch_get_item(RequestItems={"seen": {"Keys": [{"id": {"S": "hunter2"}}]}})

    await asyncio.to_thread(run)


def test_an_unsigned_request_is_nobodys() -> None:
    """A browser that looks at the emulator is no service."""
    assert call("GET", "/", "", {}, b"") is None


def test_a_body_too_long_is_a_call_all_the_same() -> None:
    """Its operation is known, its resource is not, and that is said."""
    found = call("POST", "/", "", {**SIGNED, "x-amz-target": "AmazonSQS.SendMessage"}, b" " * (MAX_BODY + 1))
    assert found is not None
    assert (found["service"], found["operation"], found["params"]) == ("sqs", "SendMessage", None)


def test_the_list_is_bounded_and_survives_a_restart(tmp_path: Path) -> None:
    """One line more says that there were others; an emulator that is started again repeats nothing."""
    path = tmp_path / "calls.jsonl"
    first = Calls(None, path)
    for number in (1, 2, 1):
        first.note({"who": "a", "number": number})
    again = Calls(None, path)
    again.note({"who": "a", "number": 2})
    assert len(path.read_text().splitlines()) == 2
    again.seen.update(str(number) for number in range(MAX_CALLS - 2))
    for number in (3, 4, 5):
        again.note({"who": "a", "number": number})
    assert [json.loads(line) for line in path.read_text().splitlines()][2:] == [{"more": True}]


def test_a_recording_is_read_without_the_labs_own_calls(tmp_path: Path) -> None:
    """Services by name, nameless ones counted, a full list and a torn last line noticed."""
    path = tmp_path / "calls.jsonl"
    entries = [
        {"who": "slipway-lab", "service": "sqs", "operation": "CreateQueue"},
        {"who": "", "service": "s3", "method": "GET", "path": "/"},
        {"who": "api", "service": "sqs", "operation": "SendMessage", "params": {"QueueUrl": "u"}},
        {"more": True},
    ]
    path.write_text("\n".join(map(json.dumps, entries)) + '\n{"who": "ap')
    found = read(path, stack="local")
    assert [(one.who, one.operation) for one in found.calls] == [("api", "SendMessage")]
    assert (found.unnamed, found.overflown) == (1, True)
    path.write_text('hunter2\n{"who": "api", "service": "sqs"}\n')
    with pytest.raises(LabError, match=r"calls.jsonl cannot be read") as caught:
        read(path, stack="local")
    assert "hunter2" not in str(caught.value.cause)


def test_names_become_those_of_the_judged_stack() -> None:
    """By resources of one URN in both stacks: whole names, account and region; nothing else is touched."""

    def program(stack: str, bus: str) -> Any:
        def build() -> None:
            aws.sqs.Queue("jobs", name=f"{stack}-jobs")
            aws.sns.Topic("news", name=bus)

        return build

    here = facts(program("local", "news"), "local")
    there = facts(program("prod", "news-2"), "prod")
    there = type(there)(there.graph, "222222222222", "eu-west-1")
    calls = (
        made("a", "sqs", "SendMessage", QueueUrl="http://h:1/000000000000/local-jobs"),
        made("a", "sns", "Publish", TopicArn="arn:aws:sns:us-east-1:000000000000:news", Other=["old-news"]),
    )
    first, second = translated(Recording(Path("x"), calls), here, there).calls
    assert first.params == {"QueueUrl": "http://h:1/222222222222/prod-jobs"}
    assert second.params == {"TopicArn": "arn:aws:sns:eu-west-1:222222222222:news-2", "Other": ["old-news"]}
