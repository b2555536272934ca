"""No server and no data of an earlier run is still here without its stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.doctor.verdict import ok, warned
from lab.servers.owner import orphans
from lab.servers.process import leftovers
from lab.servers.state import State, held

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:
    """Servers end with their starter; one that did not is named. So is data whose state folder is gone."""
    lost = orphans()
    if lost:
        names = ", ".join(f"{place} (of {home})" for place, home in lost)
        return warned("leftovers", f"data without a state folder: {names}", fix=f"rm -r {lost[0][0]}")
    if not machine.home.exists() or held(machine.home):
        return ok("leftovers", "none")
    found = leftovers(State(machine.home))
    if found:
        names = ", ".join(f"{one.name} (process {one.pid})" for one in found)
        return warned("leftovers", f"still running: {names}", fix="slipway down")
    return ok("leftovers", "none")
