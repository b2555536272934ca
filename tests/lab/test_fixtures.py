"""The fixtures hand out real servers, each test its own data."""

from __future__ import annotations

import boto3
import psycopg
import pytest
import redis

from lab.servers import AwsEndpoint, RedisServer
from tests.servers import Database


@pytest.mark.parametrize("turn", [1, 2])
def test_database_is_fresh_and_migrated(database: Database, turn: int) -> None:
    """Each test has the migrated tables, the app's role can write them, and no row of another test is seen."""
    with psycopg.connect(database.app_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM entities").fetchone() == (0,)
        connection.execute(
            "INSERT INTO entities (id, kind, lat, lon, access_owner)"
            " VALUES ('a', 'aircraft', 1, 2, 'someone')"
        )


@pytest.mark.parametrize("turn", [1, 2])
def test_valkey_is_empty(valkey: RedisServer, turn: int) -> None:
    """Each test finds no key of another."""
    with redis.Redis.from_url(valkey.url()) as connection:
        assert connection.dbsize() == 0
        connection.set("key", turn)


def test_emulator_answers(aws_endpoint: AwsEndpoint) -> None:
    """The emulator's SQS takes and gives a message."""
    client = boto3.client(
        "sqs",
        endpoint_url=aws_endpoint.url,
        region_name=aws_endpoint.region,
        aws_access_key_id=aws_endpoint.access_key_id,
        aws_secret_access_key=aws_endpoint.secret_access_key,
    )
    url = client.create_queue(QueueName="fixtures")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="hello")
    assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
    client.delete_queue(QueueUrl=url)
