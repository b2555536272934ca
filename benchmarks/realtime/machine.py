"""Where processes run and what they used: cores, CPU seconds, memory, and how quiet the machine is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
_CORES: Final = sorted(os.sched_getaffinity(0))
#: The measured server has this core for itself; its clients, Redis and everything else share the other.
SERVER_CORE: Final = _CORES[0]
OTHER_CORE: Final = _CORES[1 % len(_CORES)]


def prepare() -> None:
    """Pin this process (and so all it starts) beside the server, and open as many files as allowed."""
    os.sched_setaffinity(0, {OTHER_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def open_files() -> int:
    """How many files a process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def on_server_core() -> None:
    """Run in a child before its program: the measured server's core."""
    os.sched_setaffinity(0, {SERVER_CORE})


def cpu_seconds(pid: int) -> float:
    """CPU a process has used since its start, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_kb(pid: int) -> int:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB


def _busy() -> float:
    """CPU seconds of the whole machine, what the host took from it included."""
    values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(values) - values[3] - values[4]) / _TICKS


async def wait_until_quiet(seconds: float, below: float = 0.3) -> bool:
    """Wait until all use less than `below` cores for half a second; False when they never did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = _busy()
        await asyncio.sleep(0.5)
        if (_busy() - before) / 0.5 < below:
            return True
    return False


def descendants() -> dict[int, str]:
    """Every process below this one, and this one, with its name."""
    found: dict[int, str] = {}
    waiting = [os.getpid()]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
            children = Path(f"/proc/{pid}/task").glob("*/children")
            waiting += [int(child) for file in children for child in file.read_text().split()]
    return found
