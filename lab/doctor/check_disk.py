"""Room where the servers keep their data."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.servers.state import OUTSIDE

if TYPE_CHECKING:
    from pathlib import Path

    from lab.doctor.verdict import Machine, Verdict


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def check(machine: Machine) -> Verdict:
    """The state folder's disk, and for root the one of /var/lib, where its servers keep their data."""
    places = [machine.home, *([OUTSIDE] if os.geteuid() == 0 else [])]
    free, place = min((shutil.disk_usage(_existing(path)).free, str(path)) for path in places)
    fact = f"{free // 1_048_576} MiB free for {place}"
    if free < machine.min_free_bytes:
        needed = f"{machine.min_free_bytes // 1_048_576} MiB needed"
        return failed(
            "disk", f"{fact}, {needed}", fix="free some space, or set SLIPWAY_HOME to a larger disk"
        )
    return ok("disk", fact)
