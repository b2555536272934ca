"""Real servers for tests: PostgreSQL and the emulator shared by all workers, Valkey one per worker.

A shared server is held by a host process (`python -m tests.servers`) that ends when the last worker's connection
to it ends, so that a killed test run leaves nothing behind. `SLIPWAY_AWS_ENDPOINT_URL` points the same tests at
another endpoint. `SLIPWAY_DATABASE_URL` and `SLIPWAY_REDIS_URL` are not followed: tests drop all they find.
"""

# Servers are imported by the fixture that needs them: tests of components run where `lab` is not.
# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab.issuer import Issuer
    from lab.servers import AwsEndpoint, PostgresServer, RedisServer

ROOT = Path(__file__).resolve().parents[1]
HOST_START_SECONDS = 120
LINGER_SECONDS = 2.0
APP_USERNAME = "slipway_app"
APP_PASSWORD = "app-password-of-the-tests"


# --- the host process -------------------------------------------------------------------------------------------


def server_of(kind: str, home: Path) -> Any:
    """The server that a host of this kind holds."""
    from lab.errors import LabError
    from lab.servers import EmbeddedPostgres, EmbeddedValkey, Emulator, State

    state = State(home)
    deadline = time.monotonic() + HOST_START_SECONDS
    while True:
        try:
            state.open()
            break
        except LabError as problem:
            # the host before this one is still stopping
            if problem.code != "state-in-use" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    if kind == "postgres":
        return EmbeddedPostgres(state, durable=False)
    if kind == "valkey":
        return EmbeddedValkey(state, durable=False)
    return Emulator(state, durable=False)


async def host(kind: str, folder: Path) -> None:
    """Start the server, hand its address to whoever connects, stop it when nobody is connected any more."""
    from lab.errors import LabError

    server = server_of(kind, folder / kind)
    try:
        answer = {"endpoint": asdict(await server.start())}
    except LabError as problem:
        answer = {"error": f"{problem}: {problem.cause}"}
    held: set[object] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(reader)
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await reader.read()
        writer.close()
        held.discard(reader)

    listener = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    fresh = folder / f"{kind}.new"
    fresh.write_text(str(port))
    fresh.replace(folder / f"{kind}.port")
    alone = time.monotonic()
    while time.monotonic() < alone + LINGER_SECONDS:
        await asyncio.sleep(0.1)
        if held:
            alone = time.monotonic()
    (folder / f"{kind}.port").unlink(missing_ok=True)
    while held:  # noqa: ASYNC110 — who came at the last moment is served; who comes later starts a host of its own
        await asyncio.sleep(0.1)
    listener.close()
    await server.stop()
    server.state.close()
    from lab.servers import wipe

    wipe(folder / kind)


class Shared:
    """This worker's hold on a shared server."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        with (folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.connection = self.connect() or self.launch()
        line = self.connection.makefile().readline()
        answer = json.loads(line or '{"error": "its host ended"}')
        if "error" in answer:
            pytest.fail(f"the {kind} of the tests did not start: {answer['error']}", pytrace=False)
        self.endpoint: dict[str, Any] = answer["endpoint"]

    def connect(self) -> socket.socket | None:
        """A connection to the host, if one runs."""
        try:
            port = int((self.folder / f"{self.kind}.port").read_text())
            return socket.create_connection(("127.0.0.1", port))
        except (OSError, ValueError):
            return None

    def launch(self) -> socket.socket:
        """Start the host; it must outlive this worker, so it is in no group that Ctrl-C reaches."""
        log = self.folder / f"{self.kind}-host.log"
        not_ours = {"SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL"}
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers", self.kind, str(self.folder)],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name not in not_ours},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + HOST_START_SECONDS
        while time.monotonic() < deadline:
            if (found := self.connect()) is not None:
                # the exit status is taken when it ends, so that it is no zombie of this worker
                threading.Thread(target=process.wait, daemon=True).start()
                return found
            if process.poll() is not None:
                break
            time.sleep(0.02)
        process.kill()
        pytest.fail(
            f"the {self.kind} host of the tests did not start: {log.read_text()[-2000:]}", pytrace=False
        )

    def close(self) -> None:
        """The host ends when all have closed."""
        self.connection.close()


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder per test run: workers of xdist have theirs below it."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


# --- PostgreSQL -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """A database of one test's own, migrated."""

    server: PostgresServer
    name: str
    app_username: str = APP_USERNAME
    app_password: str = APP_PASSWORD

    @property
    def dsn(self) -> str:
        """As the owner of everything."""
        return self.server.dsn(self.name)

    @property
    def app_dsn(self) -> str:
        """As the apps' own role."""
        return self.server.dsn(self.name, self.app_username, self.app_password)

    def environment(self) -> dict[str, str]:
        """The variables an app's settings read."""
        return {
            "DATABASE_HOST": self.server.host,
            "DATABASE_PORT": str(self.server.port),
            "DATABASE_NAME": self.name,
            "DATABASE_USERNAME": self.app_username,
            "DATABASE_PASSWORD": self.app_password,
            "DATABASE_CA_FILE": str(self.server.ca_file),
        }


def execute(server: PostgresServer, statement: str) -> None:
    """One statement outside a transaction."""
    import psycopg

    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server behind TLS, shared by all workers; make databases of your own in it."""
    from lab.servers import PostgresServer

    shared = Shared("postgres", shared_folder(tmp_path_factory))
    values = {**shared.endpoint, "ca_file": Path(shared.endpoint["ca_file"])}
    yield PostgresServer(**values)
    shared.close()


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated database that this worker's tests are given clones of."""
    from apps.migrations.runner import migrate

    name = f"slipway_template_{secrets.token_hex(4)}"
    execute(postgres, f'CREATE DATABASE "{name}"')
    with (shared_folder(tmp_path_factory) / "template.lock").open("w") as lock:
        # the app's role belongs to the whole server: two workers must not make it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        migrate({"conninfo": postgres.dsn(name)}, app_username=APP_USERNAME, app_password=APP_PASSWORD)
    yield name
    execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database(postgres: PostgresServer, postgres_template: str) -> Iterator[Database]:
    """A fresh migrated database, dropped after the test."""
    name = f"slipway_test_{secrets.token_hex(6)}"
    execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"')
    yield Database(postgres, name)
    execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


# --- Valkey -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """This worker's own Valkey behind TLS: channels are global in a server, so workers share none."""
    from lab.servers import RedisServer

    shared = Shared("valkey", tmp_path_factory.getbasetemp())
    values = {**shared.endpoint, "ca_file": Path(shared.endpoint["ca_file"])}
    yield RedisServer(**values)
    shared.close()


@pytest.fixture
def valkey(redis_server: RedisServer) -> RedisServer:
    """The worker's Valkey, empty at the start of the test."""
    import redis

    with redis.Redis.from_url(redis_server.admin_url()) as connection:
        connection.flushall()
    return redis_server


# --- AWS, tokens ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsEndpoint]:
    """The AWS emulator, shared by all workers: name what you make with a random part."""
    from lab.servers import AwsEndpoint

    shared = Shared("emulator", shared_folder(tmp_path_factory))
    yield AwsEndpoint(**shared.endpoint)
    shared.close()


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Signs tokens that the apps accept when `AUTH_JWKS_URL` points at its keys."""
    from lab.issuer import Issuer

    return Issuer(tmp_path_factory.mktemp("issuer"))


if __name__ == "__main__":
    asyncio.run(host(sys.argv[1], Path(sys.argv[2])))
