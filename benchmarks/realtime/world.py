"""The real servers of a run: PostgreSQL, issuer keys, and Valkey: plain for the baselines, with TLS for us.

Our processes speak TLS to Redis, as in production; the old design and the plain handler are spared it, which
is kind to them. The TLS end before Valkey is a process of the lab; its CPU is not counted as Redis's.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import secrets
import socket
import subprocess
import tempfile
import threading
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis.asyncio as aioredis

from apps.migrations.runner import migrate
from benchmarks.realtime.build import CACHE
from lab.issuer import Issuer
from lab.servers import EmbeddedPostgres, State, binaries, tls, wipe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

_APP: Final = ("slipway_app", "app-password-of-the-benchmark")


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class World:
    """What every measured server is given."""

    folder: Path
    issuer: Issuer
    redis: aioredis.Redis
    redis_port: int
    redis_password: str
    redis_pid: int
    environment: dict[str, str]
    #: Whether baselines may be got from npm.
    install: bool

    def tokens(self, count: int) -> list[str]:
        """A token for each of `count` users; signing takes a millisecond, so they are kept a while."""
        path = self.folder / "tokens"
        kept = path.read_text().split() if path.exists() else []
        kept += [self.issuer.token(f"user-{number}") for number in range(len(kept), count)]
        path.write_text("\n".join(kept))
        return kept[:count]


@asynccontextmanager
async def open_world(*, install: bool) -> AsyncGenerator[World]:
    """Start the servers, and leave nothing behind."""
    CACHE.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-bench-")))
        state = State(folder / "state").open()
        stack.callback(wipe, state.home)
        stack.callback(state.close)
        postgres = EmbeddedPostgres(state, durable=False)
        stack.push_async_callback(postgres.stop)
        database = await postgres.start()
        migrate({"conninfo": database.dsn()}, app_username=_APP[0], app_password=_APP[1])

        port, password = free_port(), secrets.token_hex(12)
        valkey = _valkey(folder, port, password)
        stack.callback(_end, valkey)
        client = aioredis.Redis(host="127.0.0.1", port=port, password=password)
        stack.push_async_callback(client.aclose)
        while True:
            try:
                await client.ping()
                break
            except (OSError, aioredis.ConnectionError):
                if valkey.poll() is not None:
                    raise
                await asyncio.sleep(0.02)
        front = tls.TlsFront(state, "bench", "plain", host="127.0.0.1", port=port)
        front.launch(tls.authority(state))
        stack.push_async_callback(front.stop)
        issuer = Issuer(folder / "issuer")
        keys = stack.enter_context(_serve_keys(issuer))
        yield World(
            folder=folder,
            issuer=issuer,
            redis=client,
            redis_port=port,
            redis_password=password,
            redis_pid=valkey.pid,
            install=install,
            environment={
                **os.environ,
                "STACK": "bench",
                "DATABASE_HOST": database.host,
                "DATABASE_PORT": str(database.port),
                "DATABASE_NAME": database.database,
                "DATABASE_USERNAME": _APP[0],
                "DATABASE_PASSWORD": _APP[1],
                "DATABASE_CA_FILE": str(database.ca_file),
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(await front.ready()),
                "REDIS_PASSWORD": password,
                "REDIS_CA_FILE": str(database.ca_file),
                "AUTH_ISSUER": issuer.issuer,
                "AUTH_AUDIENCE": issuer.audience,
                "AUTH_JWKS_URL": f"http://127.0.0.1:{keys}/jwks.json",
            },
        )


def _valkey(folder: Path, port: int, password: str) -> subprocess.Popen[bytes]:
    program = binaries.choose(binaries.valkey_programs(), "Valkey", None)
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nrequirepass {password}\nsave ''\nappendonly no\ndir {folder}\n"
        "maxclients 15000\ntcp-backlog 4096\nclient-output-buffer-limit pubsub 256mb 64mb 60\n"
    )
    with (folder / "valkey.log").open("w") as log:
        return subprocess.Popen([str(program.path), str(config)], stdout=log, stderr=log)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _serve_keys(issuer: Issuer) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.jwks()).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
