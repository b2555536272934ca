"""A browser for the page test; `up` does without."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab.doctor.verdict import ok, warned

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def check(machine: Machine) -> Verdict:  # noqa: ARG001 — the same call for every check
    """Debian's, Ubuntu's or Google's name of it."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        return warned(
            "chromium", "not found: the page test cannot run", fix="sudo apt-get install -y chromium"
        )
    return ok("chromium", found)
