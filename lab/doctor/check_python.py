"""The interpreter is new enough, and the locked environment is the one that runs."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok, warned

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict

OLDEST = (3, 11)


def check(machine: Machine) -> Verdict:
    """Python 3.11 or later, from the project's own `.venv`."""
    found = f"Python {platform.python_version()} at {sys.prefix}"
    if sys.version_info[:2] < OLDEST:
        return failed("python", found, fix="install Python 3.11 or later")
    if Path(sys.prefix).resolve() != (machine.root / ".venv").resolve():
        return warned(
            "python", f"{found}, not the project's .venv", fix="run `make install`, then .venv/bin/slipway"
        )
    return ok("python", found)
