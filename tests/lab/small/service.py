"""The programs of the small stack: a migration, and a service that says what it was given and uses it."""

from __future__ import annotations

import json
import os
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import psycopg
import redis

INSTANCE = uuid.uuid4().hex


def connect(user: str, password: str) -> psycopg.Connection:
    """PostgreSQL with the server's name checked."""
    return psycopg.connect(
        host=os.environ["DATABASE_HOST"],
        port=os.environ["DATABASE_PORT"],
        dbname=os.environ["DATABASE_NAME"],
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=os.environ["DATABASE_CA_FILE"],
    )


def master() -> dict[str, str]:
    """The managed secret of the database."""
    client = boto3.client("secretsmanager")
    return json.loads(
        client.get_secret_value(SecretId=os.environ["DATABASE_ADMIN_SECRET_ARN"])["SecretString"]
    )


def migrate() -> None:
    """Count how often this has run: kept state shows as a number above one."""
    given = master()
    with connect(given["username"], given["password"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS runs (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO runs DEFAULT VALUES")
    print(json.dumps({"event": "migrated", "by": given["username"]}))
    if Path("fail-migration").exists():
        sys.exit("column missing")


def facts() -> dict[str, object]:
    """What this service sees of its surroundings."""
    given = master()
    with connect(given["username"], given["password"]) as connection:
        runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    cache = redis.Redis(
        host=os.environ["REDIS_HOST"],
        port=int(os.environ["REDIS_PORT"]),
        password=os.environ["REDIS_PASSWORD"],
        ssl=True,
        ssl_ca_certs=os.environ["REDIS_CA_FILE"],
    )
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody="x")
    s3.put_object(Bucket=os.environ["BUCKET"], Key="k", Body=b"v")
    return {
        "service": os.environ["SERVICE"],
        "instance": INSTANCE,
        "pid": os.getpid(),
        "runs": runs,
        "visits": cache.incr("visits"),
        "issuer": os.environ["AUTH_ISSUER"],
        "redis_password": os.environ["REDIS_PASSWORD"],
        "queue_url": os.environ["QUEUE_URL"],
        "secret_arn": os.environ["DATABASE_ADMIN_SECRET_ARN"],
    }


class Handler(BaseHTTPRequestHandler):
    """`/ready`, and everything else the facts."""

    def do_GET(self) -> None:
        """Answer in JSON."""
        body = b"{}" if self.path == "/ready" else json.dumps(facts()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """No access log."""


if __name__ == "__main__":
    if sys.argv[1] == "migrate":
        migrate()
    else:
        ThreadingHTTPServer((os.environ["BIND_HOST"], int(os.environ["PORT"])), Handler).serve_forever()
