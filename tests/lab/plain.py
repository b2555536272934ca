"""A PostgreSQL without TLS on a loopback port, as a user may bring one."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType

from lab.servers import State, binaries, wipe
from lab.servers.owner import own_folder, server_owner
from lab.servers.postgres import ADMIN, initdb
from lab.servers.process import Kept


class PlainPostgres:
    """Used with `async with`; gives the URL."""

    def __init__(self, home: Path) -> None:
        self.state = State(home).open()
        self.server: Kept | None = None

    async def __aenter__(self) -> str:
        owner = server_owner()
        program = binaries.within_reach(self.state, binaries.postgres_programs()[0], owner)
        folder = own_folder(self.state, "postgres", owner)
        await initdb(program.path, folder, owner, self.state)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
        command = [str(program.path / "postgres"), "-D", str(folder / "data"), *options]
        self.server = Kept("plain", self.state, command, owner=owner, cwd=folder)
        self.server.start()
        await self.server.until(lambda: "ready to accept connections" in self.server.tail(), timeout=30)
        return f"postgresql://{ADMIN}:{self.state.secret('postgres')}@127.0.0.1:{port}/postgres"

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.server is not None:
            await self.server.stop()
        self.state.close()
        wipe(self.state.home)
