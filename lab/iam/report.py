"""The verdicts as words and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from lab.iam.judge import Judged, Report
from lab.iam.model import Finding
from lab.output import Output

_COLOURS: Final = {"denied": "red", "excess": "red", "reach": "red", "undecided": "yellow"}


def document(report: Report) -> dict[str, Any]:
    """For `--json`."""
    return {
        "stack": report.stack,
        "recording": {
            "file": str(report.recording.source),
            "calls": len(report.recording.calls),
            "unnamed": report.recording.unnamed,
        },
        "passed": report.passed,
        "counts": _counts(report),
        "roles": [
            {
                "role": each.role.name,
                "arn": each.role.arn,
                "needs": [
                    {"action": need.action, "resource": need.resource, "reason": need.reason}
                    for need in each.needs
                ],
                "findings": [_finding(finding) for finding in each.findings],
            }
            for each in report.roles
        ],
        "waivers": list(report.problems),
        "notes": list(report.notes),
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "kind": finding.kind,
        "statement": finding.sid,
        "action": finding.action,
        "resource": finding.resource,
        "message": finding.message,
        "fix": finding.fix,
        "waiver": finding.waiver,
    }


def _counts(report: Report) -> dict[str, int]:
    counts = Counter("waived" if each.waiver else each.kind for each in report.findings)
    return {kind: counts[kind] for kind in ("denied", "excess", "reach", "undecided", "waived")}


def text(report: Report, output: Output) -> str:
    """For a person: one row per role, then each finding with its way out."""
    calls = len(report.recording.calls)
    source = report.recording.source.name
    head = f"stack {report.stack}: {len(report.roles)} roles, {calls} kinds of call from {source}"
    lines = [output.paint(head, "bold")]
    width = max((len(each.role.name) for each in report.roles), default=0)
    lines += [_row(each, width, output) for each in report.roles]
    for finding in report.findings:
        lines += ["", *_paragraph(finding, output)]
    lines += ["", *(f"{output.paint('waiver', 'red', 'bold')} {each}" for each in report.problems)]
    lines += [f"note: {each}" for each in report.notes]
    numbers = ", ".join(f"{number} {kind}" for kind, number in _counts(report).items() if number)
    word = output.paint("passed", "green", "bold") if report.passed else output.paint("failed", "red", "bold")
    needs = sum(len(each.needs) for each in report.roles)
    lines.append(f"{word}: {needs} needs of {len(report.roles)} roles{f'; {numbers}' if numbers else ''}")
    return "\n".join(lines)


def _row(each: Judged, width: int, output: Output) -> str:
    failing = [finding for finding in each.findings if not finding.waiver]
    mark = "fail" if failing else "ok"
    kinds = Counter(finding.kind for finding in failing)
    recorded = sum(need.reason.startswith("recorded") for need in each.needs)
    words = f"{len(each.needs)} needs" + (f" ({recorded} recorded)" if recorded else "")
    words = words if each.needs else "nothing needed"
    found = "".join(f", {number} {kind}" for kind, number in kinds.items())
    waived = len(each.findings) - len(failing)
    return (
        f"  {output.paint(f'{mark:<4}', 'red' if failing else 'green')} {each.role.name:<{width}}  "
        f"{words}{found}{f', {waived} waived' if waived else ''}"
    )


def _paragraph(finding: Finding, output: Output) -> Iterator[str]:
    kind = "waived" if finding.waiver else finding.kind
    colour = "blue" if finding.waiver else _COLOURS[finding.kind]
    yield f"{output.paint(kind, colour, 'bold')} {finding.role}: {finding.message}"
    if finding.waiver:
        yield f"  waived: {finding.waiver}"
    else:
        yield f"  {output.paint('fix:', 'cyan')} {finding.fix}"
