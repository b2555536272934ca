"""The one-off task as its container runs it: credentials from Secrets Manager, exit codes, logs."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import certifi
import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]


def task(environment: dict[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    """Run `python -m apps.migrations`: exit code, log lines, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "apps.migrations"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture
def environment(database: Any, aws_endpoint: Any) -> Iterator[dict[str, str]]:
    """What the task is given; the secret is real, in the emulator."""
    aws = {
        "AWS_ENDPOINT_URL": aws_endpoint.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
    }
    client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType]
        "secretsmanager",
        region_name="eu-central-1",
        endpoint_url=aws_endpoint.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    admin = {"username": database.server.admin_user, "password": database.server.admin_password}
    made = client.create_secret(Name=f"rds!db-{secrets.token_hex(6)}", SecretString=json.dumps(admin))
    yield {
        **aws,
        "STACK": "test",
        "SERVICE": "migrations",
        "DATABASE_HOST": database.server.host,
        "DATABASE_PORT": str(database.server.port),
        "DATABASE_NAME": database.name,
        "DATABASE_CA_FILE": str(database.server.ca_file),
        "DATABASE_ADMIN_SECRET_ARN": made["ARN"],
        "DATABASE_APP_USERNAME": database.app_username,
        "DATABASE_APP_PASSWORD": database.app_password,
    }
    client.delete_secret(SecretId=made["ARN"], ForceDeleteWithoutRecovery=True)


def test_the_task_migrates_and_says_so(environment: dict[str, str], database: Any) -> None:
    """With the administrator's secret the task brings the schema up to date, exits 0 and logs no password."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE filters")
        connection.execute("DELETE FROM schema_migrations WHERE version = 3")
    code, lines, stderr = task(environment)
    assert code == 0, (lines, stderr)
    assert lines[-1]["event"] == "migration.done"
    assert lines[-1]["applied"] == ["0003_filters"]
    assert lines[-1]["traceparent"].startswith("00-")
    assert database.app_password not in json.dumps(lines)
    assert database.server.admin_password not in json.dumps(lines)
    with psycopg.connect(database.app_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM filters").fetchone() == (0,)


def test_an_unreadable_secret_is_told(environment: dict[str, str]) -> None:
    """A secret that is not there ends the task with its ARN and what to check, exit 1."""
    arn = environment["DATABASE_ADMIN_SECRET_ARN"] + "gone"
    code, lines, _ = task({**environment, "DATABASE_ADMIN_SECRET_ARN": arn})
    assert code == 1
    assert lines[-1]["event"] == "migration.failed"
    assert arn in lines[-1]["reason"]
    assert "hint:" in lines[-1]["reason"]


def test_a_wrong_ca_is_refused(environment: dict[str, str], tmp_path: Path, database: Any) -> None:
    """A server whose certificate the bundle does not vouch for gets no password."""
    other = tmp_path / "other.pem"
    other.write_bytes(Path(certifi.where()).read_bytes())
    code, lines, _ = task({**environment, "DATABASE_CA_FILE": str(other)})
    assert code == 1
    assert "certificate" in lines[-1]["reason"]


def test_a_wrong_environment_is_one_message() -> None:
    """Missing variables are listed together, exit 2."""
    code, _, stderr = task({"STACK": "x", "SERVICE": "migrations"})
    assert code == 2
    assert "DATABASE_ADMIN_SECRET_ARN: missing" in stderr
    assert "DATABASE_APP_PASSWORD: missing" in stderr
