"""The AWS emulator's environment is installed, or will be on the first `up`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.doctor.verdict import ok, warned
from lab.servers.emulator import VARIABLE, environment_folder, pinned
from lab.servers.state import State

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:
    """Without it the first `up` needs the network."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return ok("emulator", f"{VARIABLE} names {given}")
    if not (environment_folder(State(machine.home)) / "complete").is_file():
        return warned(
            "emulator", f"ministack {pinned()} is not installed yet", fix="run `make up` with network once"
        )
    return ok("emulator", f"ministack {pinned()}")
