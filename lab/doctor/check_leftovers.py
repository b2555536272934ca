"""No server of an earlier run is still here without its stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.doctor.verdict import ok, warned
from lab.servers.process import leftovers
from lab.servers.state import State, held

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:
    """Servers end with their starter; one that did not is named."""
    if not machine.home.exists() or held(machine.home):
        return ok("leftovers", "none")
    found = leftovers(State(machine.home))
    if found:
        names = ", ".join(f"{one.name} (process {one.pid})" for one in found)
        return warned("leftovers", f"still running: {names}", fix="slipway down")
    return ok("leftovers", "none")
