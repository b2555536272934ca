"""What a stack has left on this machine: processes that know its state folder, and listeners."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from urllib.parse import urlsplit


def processes(home: Path) -> list[str]:
    """Command lines of processes that name the state folder in their arguments or environment."""
    mark, found = str(home).encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and (mark in words or mark in (folder / "environ").read_bytes()):
                found.append(f"{folder.name}: {words.replace(bytes(1), b' ').decode(errors='replace')[:150]}")
    return found


def listens(url: str) -> bool:
    """Whether anybody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 80)) == 0
