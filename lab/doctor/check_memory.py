"""Enough memory for the servers, the services and a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lab.doctor.verdict import ok, warned

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def available(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that a new process can have without swapping; where the kernel does not say, all there is."""
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check(machine: Machine) -> Verdict:
    """A stack and its map use about 1.5 GiB, the tests with two workers about 3 GiB."""
    free = available()
    fact = f"{free / 1024**3:.1f} GiB of memory available"
    if free < machine.min_memory_bytes:
        needed = f"{machine.min_memory_bytes / 1024**3:.0f} GiB"
        return warned("memory", f"{fact}, {needed} advised", fix="close other programs, or add swap")
    return ok("memory", fact)
