"""The state folder is of this version and whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.errors import LabError
from lab.servers.state import State, held

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:
    """An older or newer one is not touched."""
    if not machine.home.exists():
        return ok("state", f"{machine.home} does not exist yet")
    if held(machine.home):
        return ok("state", f"{machine.home} is used by the running stack")
    try:
        State(machine.home).check_version()
    except LabError as problem:
        return failed("state", problem.message, fix=problem.hint or "slipway down --wipe")
    return ok("state", str(machine.home))
