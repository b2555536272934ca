"""Every verdict of a run as a file: the engine prints violations only, and what passed is evidence too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi_policy import EnforcementLevel, StackValidationPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pulumi_policy import StackValidationArgs

    from policies.control import Finding
    from policies.waivers import Ledger

# the environment variable that names the file
VARIABLE: Final = "SLIPWAY_EVIDENCE"


def policy(ledger: Ledger, path: Path) -> StackValidationPolicy:
    """The last policy of the pack: it judges nothing and writes down what the others found."""

    def validate(_args: StackValidationArgs, _report: Callable[..., None]) -> None:
        path.write_text(json.dumps(rows(ledger.findings()), indent=1), encoding="utf-8")

    return StackValidationPolicy(
        name="evidence",
        description="Every verdict, written to a file.",
        validate=validate,
        enforcement_level=EnforcementLevel.ADVISORY,
    )


def rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The verdicts as JSON, in an order that does not depend on the engine's."""
    found: list[dict[str, Any]] = [
        {
            "control": finding.control.id,
            "urn": finding.urn,
            "outcome": finding.outcome.value,
            "message": finding.message,
            "path": list(finding.path),
            "waiver": finding.waiver,
        }
        for finding in findings
    ]
    return sorted(found, key=json.dumps)
