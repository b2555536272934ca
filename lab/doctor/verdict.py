"""What a check says: fine, a warning or a failure, each with its fact and, when not fine, one fix."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.servers.state import MIN_FREE_BYTES, default_home

DEFAULT_PORT = 8080


@dataclass(frozen=True)
class Machine:
    """What the checks look at; tests hand in their own."""

    root: Path
    home: Path
    port: int
    min_free_bytes: int = MIN_FREE_BYTES
    min_memory_bytes: int = 3 * 1024**3

    @classmethod
    def here(cls, root: Path) -> Machine:
        """This project on this machine."""
        given = os.environ.get("SLIPWAY_PORT", "").strip()
        return cls(root, default_home(root), int(given) if given.isdecimal() else DEFAULT_PORT)


@dataclass(frozen=True)
class Verdict:
    """`fix` is one command or one action; empty when all is fine."""

    name: str
    status: Literal["ok", "warn", "fail"]
    fact: str
    fix: str = ""


def ok(name: str, fact: str) -> Verdict:
    """Nothing to do."""
    return Verdict(name, "ok", fact)


def warned(name: str, fact: str, *, fix: str) -> Verdict:
    """Works, but something will be missing or slow."""
    return Verdict(name, "warn", fact, fix)


def failed(name: str, fact: str, *, fix: str) -> Verdict:
    """`slipway up` would not work."""
    return Verdict(name, "fail", fact, fix)
