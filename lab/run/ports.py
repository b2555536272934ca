"""Who listens on a port of this machine: process id and name, from /proc."""

from __future__ import annotations

import contextlib
from pathlib import Path

LISTEN = "0A"


def holder(port: int) -> str | None:
    """`pid 812 (postgres)`, or None when this user may not see it (or this is no Linux)."""
    inodes = _inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(link.readlink()) in inodes:
                        name = (process / "comm").read_text(encoding="utf-8").strip()
                        return f"pid {process.name} ({name})"
    return None


def _inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
