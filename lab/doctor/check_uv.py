"""uv is here: it installs the AWS emulator's environment, and updates the project's."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.errors import LabError
from lab.servers.emulator import find_uv

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:  # noqa: ARG001 — the same call for every check
    """The one in `.tools`, else the one on PATH, and it runs."""
    try:
        path = find_uv()
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except LabError as problem:
        return failed("uv", problem.message, fix="make install")
    except (OSError, subprocess.SubprocessError) as problem:
        return failed("uv", f"uv does not run: {problem}", fix="rm -rf .tools && make install")
    return ok("uv", f"{done.stdout.strip()} at {path}")
