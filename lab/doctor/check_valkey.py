"""A Redis-protocol server that runs here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.errors import LabError
from lab.servers import binaries, external

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:  # noqa: ARG001 — the same call for every check
    """The one that `up` would take."""
    given = os.environ.get(external.REDIS, "").strip()
    try:
        if given:
            found = external.redis(given)
            return ok("valkey", f"{external.REDIS} names {found.host}:{found.port}")
        program = binaries.choose(binaries.valkey_programs(), "Valkey", None)
    except LabError as problem:
        return failed("valkey", f"{problem.message}: {problem.cause}", fix=problem.hint or "make install")
    return ok("valkey", str(program))
