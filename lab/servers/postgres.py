"""PostgreSQL for one machine: own initdb, an account without rights, scram passwords, TLS by a front."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.servers import binaries, external, tls
from lab.servers.embedded import Embedded
from lab.servers.endpoints import PostgresServer
from lab.servers.owner import hand_over, own_folder, server_owner, socket_folder
from lab.servers.process import LOOPBACK, Kept
from lab.servers.state import State, write_private

if TYPE_CHECKING:
    from lab.servers.owner import Owner

ADMIN = "slipway_lab"
SOCKET_NAME = ".s.PGSQL.5432"

SETTINGS = {
    "listen_addresses": "",  # the only way in over the network is the TLS front
    "port": "5432",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "jit": "off",
    "unix_socket_permissions": "0700",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "1GB"}
"""For tests, whose data nobody needs after a crash."""


class EmbeddedPostgres(Embedded):
    """`start` answers with the server's address; `durable=False` is for tests."""

    name = "postgres"
    protocol = "postgres"

    async def start(self) -> PostgresServer:
        """Start, or take the server that `SLIPWAY_DATABASE_URL` names."""
        issued = tls.authority(self.state)
        given = os.environ.get("SLIPWAY_DATABASE_URL", "").strip()
        if given:
            return await self._external(external.postgres(given), issued)
        owner = server_owner()
        folder = own_folder(self.state, "postgres", owner)
        sockets = socket_folder(self.state, owner, SOCKET_NAME)
        self._front = tls.TlsFront(self.state, "postgres", "postgres", path=sockets / SOCKET_NAME)
        self._front.launch(issued)
        data = folder / "data"
        program = binaries.choose(binaries.postgres_programs(), "PostgreSQL", _written_by(data))
        program = binaries.within_reach(self.state, program, owner)
        async with self._stopped_on_failure():
            _end_leftover(data)
            if not (data / "PG_VERSION").is_file():
                await initdb(program.path, folder, owner, self.state)
            await self._launch(program.path, data, sockets, owner)
            port = await self._front.ready()
        password = self.state.secret("postgres")
        return PostgresServer(LOOPBACK, port, ADMIN, password, "postgres", issued.ca_file, str(program))

    async def _external(self, found: external.Postgres, issued: tls.Authority) -> PostgresServer:
        """A server of the user's: as it is when it has TLS with a CA file, else behind our front."""
        host, port, ca_file = await self._secured(found, issued)
        server = PostgresServer(
            host,
            port,
            found.user,
            found.password,
            found.database,
            ca_file,
            "SLIPWAY_DATABASE_URL",
            external=True,
        )
        async with self._stopped_on_failure():
            external.check_postgres(server, f"{found.host}:{found.port}")
        return server

    async def _launch(self, programs: Path, data: Path, sockets: Path, owner: Owner | None) -> None:
        """Readiness is the server's own word in postmaster.pid."""
        settings = {
            **SETTINGS,
            **({} if self.durable else THROWAWAY),
            "unix_socket_directories": f'"{sockets}"',
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = Kept(
            "postgres",
            self.state,
            [str(programs / "postgres"), "-D", str(data), *options],
            owner=owner,
            cwd=data,
            stop_signal=signal.SIGINT,  # fast shutdown: sessions end, a checkpoint is written
            grace=20.0,
        )
        for stale in (sockets / SOCKET_NAME, sockets / f"{SOCKET_NAME}.lock"):
            stale.unlink(missing_ok=True)
        self._server.start()
        await self._server.until(lambda: _status(data) == "ready", timeout=60)


def _written_by(data: Path) -> str | None:
    """Whose data it is; a folder that initdb did not finish is nobody's."""
    with contextlib.suppress(OSError):
        return f"PostgreSQL {(data / 'PG_VERSION').read_text(encoding='utf-8').strip()}"
    return None


def _postmaster(data: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return []


def _status(data: Path) -> str:
    lines = _postmaster(data)
    return lines[7].strip() if len(lines) > 7 else ""


def _end_leftover(data: Path) -> None:
    """A server whose record is gone still names itself in postmaster.pid; only ours has this folder."""
    lines = _postmaster(data)
    if not lines or not lines[0].isdigit():
        return
    pid = int(lines[0])
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + 5
        while _runs_in(pid, data):
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(0.05)


def _runs_in(pid: int, data: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve()
    except OSError:
        return False


async def initdb(programs: Path, folder: Path, owner: Owner | None, state: State) -> None:
    """A new cluster, built beside its place and renamed: one cut short never looks whole."""
    fresh, data, secret = folder / "new", folder / "data", folder / "password"
    for path in (fresh, data):
        shutil.rmtree(path, ignore_errors=True)
    write_private(secret, state.secret("postgres"))
    hand_over(secret, owner)
    command = [
        str(programs / "initdb"),
        *("--pgdata", str(fresh), "--username", ADMIN, "--pwfile", str(secret)),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
        # seconds less: after a loss of power within half a minute of the first start a wipe may be needed
        "--no-sync",
    ]
    program = Kept("initdb", state, command, owner=owner, cwd=folder, stop_signal=signal.SIGKILL)
    program.start()
    try:
        code = await program.finish()
    finally:
        secret.unlink(missing_ok=True)
    if code != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise program.failure(f"ended with status {code}")
    fresh.rename(data)
