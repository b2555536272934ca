"""A PostgreSQL that runs here, and an account to run it as."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.doctor.verdict import failed, ok
from lab.errors import LabError
from lab.servers import binaries, external
from lab.servers.owner import server_owner

if TYPE_CHECKING:
    from lab.doctor.verdict import Machine, Verdict


def check(machine: Machine) -> Verdict:  # noqa: ARG001 — the same call for every check
    """The one that `up` would take."""
    given = os.environ.get(external.DATABASE, "").strip()
    try:
        if given:
            found = external.postgres(given)
            return ok("postgres", f"{external.DATABASE} names {found.host}:{found.port}/{found.database}")
        program = binaries.choose(binaries.postgres_programs(), "PostgreSQL", None)
        owner = server_owner()
    except LabError as problem:
        return failed("postgres", f"{problem.message}: {problem.cause}", fix=problem.hint or "make install")
    return ok("postgres", f"{program}{'' if owner is None else ', runs as nobody'}")
