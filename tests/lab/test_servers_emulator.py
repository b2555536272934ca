"""The AWS emulator: what the stacks use of it works, on loopback only, and its state is kept."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.servers import AwsEndpoint, Emulator, State, wipe

ACCOUNT = "210987654321"


def client(endpoint: AwsEndpoint, service: str) -> Any:
    """A boto3 client of this endpoint."""
    return boto3.client(
        service,
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of one test's own."""
    monkeypatch.delenv("SLIPWAY_AWS_ENDPOINT_URL", raising=False)
    yield tmp_path / "home"
    wipe(tmp_path / "home")


def fill(endpoint: AwsEndpoint) -> None:
    """One thing in each service a stack uses."""
    url = client(endpoint, "sqs").create_queue(QueueName="kept")["QueueUrl"]
    client(endpoint, "sqs").send_message(QueueUrl=url, MessageBody="a message")
    client(endpoint, "s3").create_bucket(
        Bucket="kept", CreateBucketConfiguration={"LocationConstraint": endpoint.region}
    )
    client(endpoint, "s3").put_object(Bucket="kept", Key="folder/object", Body=b"bytes \x00\xff")
    client(endpoint, "ssm").put_parameter(Name="/kept/secret", Value="a parameter", Type="SecureString")
    client(endpoint, "secretsmanager").create_secret(Name="kept", SecretString="a secret")


def check(endpoint: AwsEndpoint) -> None:
    """All of it is there."""
    queue = client(endpoint, "sqs")
    url = queue.get_queue_url(QueueName="kept")["QueueUrl"]
    assert f"/{ACCOUNT}/" in url
    assert queue.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"][0]["Body"] == "a message"
    body = client(endpoint, "s3").get_object(Bucket="kept", Key="folder/object")["Body"].read()
    assert body == b"bytes \x00\xff"
    parameter = client(endpoint, "ssm").get_parameter(Name="/kept/secret", WithDecryption=True)["Parameter"]
    assert (parameter["Value"], parameter["Type"]) == ("a parameter", "SecureString")
    assert f":{ACCOUNT}:" in parameter["ARN"]
    assert client(endpoint, "secretsmanager").get_secret_value(SecretId="kept")["SecretString"] == "a secret"


async def test_state_is_kept(home: Path) -> None:
    """What a stack made is there after a restart, at the same address and in the same account."""
    urls: list[str] = []
    for turn in (1, 2):
        with State(home) as state:
            emulator = Emulator(state, account_id=ACCOUNT, region="eu-central-1")
            endpoint = await emulator.start()
            urls.append(endpoint.url)
            if turn == 1:
                fill(endpoint)
            check(endpoint)
            await emulator.stop()
    assert urls[0] == urls[1]


def written(folder: Path) -> bool:
    """Whether what `fill` made has reached the disk."""
    marks = {"sqs": "a message", "s3": "kept", "ssm": "a parameter", "secretsmanager": "a secret"}
    paths = {folder / f"{service}.json": mark for service, mark in marks.items()}
    return all(path.is_file() and mark in path.read_text() for path, mark in paths.items())


async def test_state_survives_sudden_death(home: Path) -> None:
    """A killed emulator still knows what it saved while it ran, as the databases beside it do."""
    with State(home) as state:
        emulator = Emulator(state, account_id=ACCOUNT)
        fill(await emulator.start())
        folder = state.data("emulator") / "services"
        deadline = time.monotonic() + 30
        # polled: it is another process that writes
        while not (saved := written(folder)) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert saved
        told = json.loads((state.run / "emulator.json").read_text())
        os.kill(told["child"], signal.SIGKILL)
        await emulator.stop()
        check(await emulator.start())
        await emulator.stop()


async def test_it_listens_on_loopback_only(home: Path) -> None:
    """The emulator has no authentication: no port of it is open to the network."""
    with State(home) as state:
        emulator = Emulator(state)
        await emulator.start()
        told = json.loads((state.run / "emulator.json").read_text())
        assert listening(told["child"]) == {"127.0.0.1"}
        await emulator.stop()


def listening(pid: int) -> set[str]:
    """The local addresses on which a process listens, from /proc."""
    inodes: set[str] = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                number = fields[1].partition(":")[0]
                local = (
                    ".".join(str(part) for part in reversed(bytes.fromhex(number)))
                    if table == "tcp"
                    else number
                )
                found.add(local)
    return found


def test_queue_with_dead_letters(aws_endpoint: AwsEndpoint) -> None:
    """A message that was received too often moves to the dead-letter queue."""
    queue, name = client(aws_endpoint, "sqs"), f"t-{secrets.token_hex(4)}"
    dead = queue.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    url = queue.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})[
        "QueueUrl"
    ]
    queue.send_message(QueueUrl=url, MessageBody="poison")
    assert queue.receive_message(QueueUrl=url)["Messages"]
    assert "Messages" not in queue.receive_message(QueueUrl=url)
    assert queue.receive_message(QueueUrl=dead)["Messages"][0]["Body"] == "poison"
