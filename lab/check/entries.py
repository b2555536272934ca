"""A report as entries: every finding that is no pass, with all that a writer of any format needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lab.check.judge import Report
from lab.check.places import Place
from policies.control import Control, Finding, Outcome
from policies.pricing.tiers import NO_TIER

SEVERITIES: Final = ("critical", "high", "medium", "low")
State = Literal["fail", "undecided", "waived"]
STACK: Final = "the stack"


@dataclass(frozen=True)
class Entry:
    """One finding."""

    control: Control
    state: State
    code: str  # for scripts: what kind of finding it is
    blocking: bool
    tier: str
    urn: str
    resource: str
    message: str
    path: tuple[str, ...]
    fix: str
    waiver: str
    place: Place | None

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """The gravest first."""
        states = ("fail", "undecided", "waived")
        severity = SEVERITIES.index(self.control.severity)
        return (states.index(self.state), severity, self.control.id, self.urn)


def entries(report: Report) -> list[Entry]:
    """All findings that are no pass, the gravest first."""
    blocking = {(each.control, each.urn) for each in report.blocking}
    found = [_entry(finding, report, blocking) for finding in report.findings if _shown(finding)]
    return sorted(found, key=lambda each: each.rank)


def by_tier(found: Sequence[Entry]) -> Iterator[tuple[str, list[tuple[str, list[Entry]]]]]:
    """Tiers by name, the stack's own findings first; in each the resources by name, with their entries."""
    tiers: dict[str, dict[str, list[Entry]]] = {}
    for entry in found:
        tiers.setdefault(entry.tier, {}).setdefault(entry.urn, []).append(entry)
    for tier in sorted(tiers, key=lambda name: (name != STACK, name == NO_TIER, name)):
        groups = tiers[tier].values()
        yield tier, sorted(((group[0].resource, group) for group in groups), key=lambda pair: pair[0])


def _shown(finding: Finding) -> bool:
    return finding.outcome is not Outcome.PASS


def _entry(finding: Finding, report: Report, blocking: set[tuple[str, str]]) -> Entry:
    state: State = (
        "fail"
        if finding.outcome is Outcome.FAIL
        else "undecided"
        if finding.outcome is Outcome.UNDECIDED
        else "waived"
    )
    return Entry(
        control=finding.control,
        state=state,
        code=_code(finding),
        blocking=state != "waived" and (finding.control.id, finding.urn) in blocking,
        tier=report.tiers.get(finding.urn, NO_TIER) if finding.urn else STACK,
        urn=finding.urn,
        resource=finding.label,
        message=finding.message,
        path=finding.path,
        fix=finding.fix,
        waiver=finding.waiver,
        place=report.places.get(finding.urn),
    )


def _code(finding: Finding) -> str:
    if finding.message.startswith("the control itself failed"):
        return "control-broken"
    return {"fail": "control-failed", "undecided": "control-undecided", "waived": "control-waived"}[
        finding.outcome.value
    ]
