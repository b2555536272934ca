"""Looks at this machine as `slipway up` and the tests will: one file per check, data out, nothing printed."""

from __future__ import annotations

import importlib
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lab.doctor.verdict import Machine, Verdict, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[Machine], Verdict]

__all__ = ["Machine", "Verdict", "checks", "examine"]


def checks() -> dict[str, Check]:
    """Every `check_*.py` of this folder, by name."""
    names = sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return {
        name.removeprefix("check_"): cast("Check", importlib.import_module(f"lab.doctor.{name}").check)
        for name in names
        if name.startswith("check_")
    }


def examine(machine: Machine, only: dict[str, Check] | None = None) -> list[Verdict]:
    """All verdicts, by name; a check that breaks is a failed check, not the end of the rest."""

    def run(named: tuple[str, Check]) -> Verdict:
        name, check = named
        try:
            return check(machine)
        except Exception as problem:  # noqa: BLE001 — the doctor is asked when things are odd
            return failed(name, f"the check itself broke: {problem!r}", fix="report this as a bug")

    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(run, (checks() if only is None else only).items()))
