"""A PostgreSQL without TLS on a loopback port, as a user may bring one."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from lab.servers import State, binaries, wipe
from lab.servers.owner import own_folder, server_owner
from lab.servers.postgres import ADMIN, initdb


class PlainPostgres:
    """Used with `with`; gives the URL."""

    def __init__(self, home: Path) -> None:
        self.state = State(home).open()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        owner = server_owner()
        program = binaries.within_reach(binaries.postgres_programs()[0], owner)
        folder = own_folder(self.state, "postgres", owner)
        initdb(program.path, folder, owner, self.state)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="]
        self.process = subprocess.Popen(
            [str(program.path / "postgres"), "-D", str(folder / "data"), *options],
            cwd=folder,
            stderr=subprocess.DEVNULL,
            user=None if owner is None else owner.uid,
            group=None if owner is None else owner.gid,
            extra_groups=None if owner is None else [],
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        return f"postgresql://{ADMIN}:{self.state.secret('postgres')}@127.0.0.1:{port}/postgres"

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
        self.state.close()
        wipe(self.state.home)
