"""The API as its container runs it: `python -m apps.api`, over loopback, with signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.apps.api.conftest import eventually, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def jwks_url(issuer: Any) -> Iterator[str]:
    """The issuer's keys over HTTP."""
    document = json.dumps(issuer.jwks()).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/jwks.json"
    server.shutdown()
    server.server_close()


@asynccontextmanager
async def process(
    environment: dict[str, str],
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[dict[str, Any]]]]:
    """Run `python -m apps.api`; its log lines are collected."""
    lines: list[dict[str, Any]] = []
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "apps.api",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def collect() -> None:
        assert running.stdout is not None
        async for line in running.stdout:
            entry = json.loads(line) if line.startswith(b"{") else {"text": line.decode()}
            lines.append(entry)

    reader = asyncio.create_task(collect())
    try:
        yield running, lines
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
        await reader


async def test_a_request_in_flight_survives_the_drain(
    database: Any, valkey: Any, issuer: Any, jwks_url: str
) -> None:
    """Over a real socket: ready, a change, SIGTERM under load, every accepted request answered, exit 0."""
    port = free_port()
    environment = settings_of(database, valkey, issuer, port=port, auth_jwks_url=jwks_url)
    headers = {"authorization": f"Bearer {issuer.token('ann')}"}
    base = f"http://127.0.0.1:{port}"
    async with (
        process(environment) as (running, lines),
        httpx.AsyncClient(base_url=base, headers=headers) as client,
    ):

        async def ready() -> bool:
            assert running.returncode is None, lines
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready, 60)
        made = await client.post("/v1/entities", json={"id": "x", "kind": "a", "lat": 1, "lon": 1})
        assert made.status_code == 201
        rows = [{"id": f"e{number}", "kind": "a", "lat": 1, "lon": 1} for number in range(1000)]
        sent = [
            asyncio.create_task(client.post("/v1/entities/bulk", json={"entities": rows}, timeout=30))
            for _ in range(6)
        ]
        await asyncio.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*sent, return_exceptions=True)
        assert await asyncio.wait_for(running.wait(), 30) == 0, lines
    events = [line.get("event") for line in lines]
    assert events.index("process.ready") < events.index("process.signal") < events.index("process.drained")
    assert events[-1] == "process.stopped"
    # a connection that was never accepted may fail; an accepted request is answered
    done = [answer for answer in answers if isinstance(answer, httpx.Response)]
    assert done
    assert {answer.status_code for answer in done} == {200}
    assert all(isinstance(answer, (httpx.Response, httpx.ConnectError)) for answer in answers), answers
    assert not any("Bearer" in json.dumps(line) for line in lines)


async def test_a_wrong_environment_is_one_message() -> None:
    """All missing and wrong variables are listed at once, secrets are not shown, and the exit code is 2."""
    environment = {"STACK": "x", "SERVICE": "api", "PORT": "eighty", "REDIS_PASSWORD": "hush"}
    async with process(environment) as (running, lines):
        assert await asyncio.wait_for(running.wait(), 60) == 2
    text = "".join(line.get("text", "") for line in lines)
    assert "DATABASE_HOST: missing" in text
    assert "AUTH_ISSUER: missing" in text
    assert "PORT: input should be a valid integer" in text
    assert "hush" not in text
    assert "hint:" in text
    assert "Traceback" not in text


async def test_a_taken_port_is_told(database: Any, valkey: Any, issuer: Any) -> None:
    """A port that somebody holds ends the start with the port and the way out."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        environment = settings_of(database, valkey, issuer, port=port)
        async with process(environment) as (running, lines):
            assert await asyncio.wait_for(running.wait(), 60) == 1
    reason = next(line["reason"] for line in lines if line.get("event") == "process.start_failed")
    assert f"port {port} on 127.0.0.1 can't be used" in reason
    assert "hint:" in reason


async def test_an_absent_database_fails_the_start(valkey: Any, issuer: Any, database: Any) -> None:
    """Without its database the process does not pretend: it ends with the reason, without its password."""
    environment = settings_of(database, valkey, issuer, database_port=1, database_start_seconds=1)
    environment["DATABASE_PASSWORD"] = "hush"
    async with process(environment) as (running, lines):
        assert await asyncio.wait_for(running.wait(), 100) == 1
    failed = next(line for line in lines if line.get("event") == "process.start_failed")
    assert "PostgreSQL at 127.0.0.1:1 can't be used" in failed["error"]
    assert "hush" not in json.dumps(lines)
