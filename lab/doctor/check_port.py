"""The front's port is free, or this project's own stack has it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.servers.state import held

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:
    """Taken by another program means a clear message here instead of a failed `up`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", machine.port))
        except OSError as problem:
            if held(machine.home):
                return ok("port", f"{machine.port} is used by the running stack")
            return failed(
                "port",
                f"127.0.0.1:{machine.port} cannot be used: {problem.strerror}",
                fix=f"stop what listens there (`ss -ltnp 'sport = :{machine.port}'`), or set SLIPWAY_PORT",
            )
    return ok("port", f"127.0.0.1:{machine.port} is free")
