"""Valkey for one machine: password on, append-only file on, TLS by a front before it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from lab.servers import binaries, external, tls
from lab.servers.embedded import Embedded
from lab.servers.endpoints import RedisServer
from lab.servers.owner import hand_over, own_folder, server_owner, socket_folder
from lab.servers.process import LOOPBACK, Kept
from lab.servers.state import State, write_private

if TYPE_CHECKING:
    from lab.servers.owner import Owner

ADMIN = "slipway_lab"
SOCKET_NAME = "valkey.sock"


class EmbeddedValkey(Embedded):
    """`start` answers with the server's address; `durable=False` is for tests."""

    name = "valkey"

    async def start(self) -> RedisServer:
        """Start, or take the server that `SLIPWAY_REDIS_URL` names."""
        issued = tls.authority(self.state)
        given = os.environ.get("SLIPWAY_REDIS_URL", "").strip()
        if given:
            return await self._external(external.redis(given), issued)
        owner = server_owner()
        folder = own_folder(self.state, "valkey", owner)
        sockets = socket_folder(self.state, owner, SOCKET_NAME)
        self._front = tls.TlsFront(self.state, "valkey", "plain", path=sockets / SOCKET_NAME)
        self._front.launch(issued)
        mark = folder / "written-by"
        written_by = mark.read_text(encoding="utf-8") if mark.is_file() else None
        program = binaries.choose(binaries.valkey_programs(), "Valkey", written_by)
        program = binaries.within_reach(self.state, program, owner)
        mark.write_text(f"{program.name} {program.major}", encoding="utf-8")
        async with self._stopped_on_failure():
            await self._launch(program.path, folder, sockets / SOCKET_NAME, owner)
            port = await self._front.ready()
        secret = self.state.secret
        return RedisServer(
            LOOPBACK, port, secret("valkey"), issued.ca_file, str(program), ADMIN, secret("valkey-admin")
        )

    async def _external(self, found: external.Redis, issued: tls.Authority) -> RedisServer:
        """A server of the user's: as it is when it has TLS with a CA file, else behind our front."""
        host, port, ca_file = await self._secured(found, issued)
        server = RedisServer(
            host,
            port,
            found.password,
            ca_file,
            "SLIPWAY_REDIS_URL",
            found.user,
            found.password,
            external=True,
        )
        async with self._stopped_on_failure():
            external.check_redis(server, f"{found.host}:{found.port}")
        return server

    async def _launch(self, program: Path, folder: Path, path: Path, owner: Owner | None) -> None:
        """The configuration is a file, as a command line shows its passwords to every user."""
        config = folder / "valkey.conf"
        write_private(config, configuration(self.state, folder, path, durable=self.durable))
        hand_over(config, owner)
        self._server = Kept(
            "valkey",
            self.state,
            [str(program), str(config)],
            owner=owner,
            cwd=folder,
            stop_signal=signal.SIGTERM,
        )
        self._server.start()
        password = self.state.secret("valkey-admin")
        await self._server.until(lambda: loaded(path, password), timeout=60)


def configuration(state: State, folder: Path, path: Path, *, durable: bool) -> str:
    """The whole configuration file; passwords stand as hashes."""
    settings = {
        "port": "0",  # the only way in over the network is the TLS front
        "unixsocket": f'"{path}"',
        "unixsocketperm": "700",
        "dir": f'"{folder}"',
        "daemonize": "no",
        "loglevel": "notice",
        "databases": "16",
        "maxmemory": "1gb",
        "maxmemory-policy": "noeviction",
        # a reader of pub/sub that stalls for a moment must not be cut at the default 32 MB
        "client-output-buffer-limit": "pubsub 256mb 64mb 60",
        "save": '""',
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
    }
    lines = [f"{name} {value}" for name, value in settings.items()]
    for user, name in (("default", "valkey"), (ADMIN, "valkey-admin")):
        digest = hashlib.sha256(state.secret(name).encode()).hexdigest()
        lines.append(f"user {user} on #{digest} ~* &* +@all")
    return "\n".join(lines) + "\n"


def loaded(path: Path, password: str) -> bool:
    """Whether the server answers and has read its data."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        probe.connect(str(path))
        probe.sendall(f"AUTH {ADMIN} {password}\r\nPING\r\n".encode())
        answer = b""
        while answer.count(b"\r\n") < 2:
            data = probe.recv(256)
            if not data:
                return False
            answer += data
        return answer == b"+OK\r\n+PONG\r\n"
    return False
