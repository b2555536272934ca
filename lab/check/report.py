"""A report as words: families with counts, then each violation with its path and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lab.check.judge import Report
from lab.output import Output
from policies.control import FAMILIES, Control, Finding, Outcome

_SEVERITIES: Final = ("critical", "high", "medium", "low")


def document(report: Report) -> dict[str, Any]:
    """The report for `--json`."""
    return {
        "stack": report.stack,
        "config": report.config,
        "resources": report.resources,
        "seconds": round(report.seconds, 3),
        "passed": not report.blocking,
        "counts": report.counts(),
        "disabled": list(report.disabled),
        "controls": [
            {
                "id": control.id,
                "title": control.title,
                "family": control.family,
                "severity": control.severity,
                "frameworks": control.frameworks.by_name(),
                "counts": report.counts(control),
            }
            for control in report.controls
        ],
        "findings": [_finding(finding) for finding in _open(report)],
        "violations": [
            {"policy": each.policy, "mandatory": each.mandatory, "urn": each.urn, "message": each.message}
            for each in report.violations
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "control": finding.control.id,
        "severity": finding.control.severity,
        "outcome": finding.outcome.value,
        "urn": finding.urn,
        "resource": finding.label,
        "message": finding.message,
        "path": list(finding.path),
        "fix": finding.fix,
        "waiver": finding.waiver,
    }


def _open(report: Report) -> list[Finding]:
    """All that did not simply pass, the gravest first."""
    found = [finding for finding in report.findings if finding.outcome is not Outcome.PASS]
    order = list(Outcome)
    return sorted(
        found,
        key=lambda each: (
            order.index(each.outcome),
            _SEVERITIES.index(each.control.severity),
            each.control.id,
            each.urn,
        ),
    )


def text(report: Report, output: Output) -> str:
    """The report for a person."""
    lines = [
        output.paint(
            f"stack {report.stack}: {len(report.controls)} controls on {report.resources} resources "
            f"({report.config}, {report.seconds:.1f} s)",
            "bold",
        )
    ]
    for family in FAMILIES:
        lines.extend(_family(report, family, output))
    for finding in _open(report):
        lines.extend(["", *_paragraph(finding, output)])
    lines.extend(["", *_waivers(report, output)])
    lines.extend([*_notes(report), _verdict(report, output)])
    return "\n".join(lines)


def _family(report: Report, family: str, output: Output) -> Iterable[str]:
    yield ""
    yield output.paint(family, "bold")
    for control in report.controls:
        if control.family == family:
            yield _row(control, report.counts(control), output)


def _row(control: Control, counts: dict[str, int], output: Output) -> str:
    failed, undecided, passed = counts["fail"], counts["undecided"], counts["pass"]
    mark = "fail" if failed else "?" if undecided else "ok" if passed or counts["waived"] else "-"
    colour = {"fail": "red", "?": "yellow", "ok": "green", "-": "dim"}[mark]
    numbers = [f"{counts[name]} {name}" for name in ("fail", "undecided", "waived", "pass") if counts[name]]
    words = ", ".join(numbers) or "nothing to judge"
    return f"  {output.paint(f'{mark:<4}', colour)} {control.id}  {control.title}: {words}"


def _paragraph(finding: Finding, output: Output) -> Iterable[str]:
    colour = {Outcome.FAIL: "red", Outcome.UNDECIDED: "yellow", Outcome.WAIVED: "blue"}[finding.outcome]
    head = output.paint(f"{finding.outcome.value} {finding.control.id}", colour, "bold")
    yield f"{head} [{finding.control.severity}] {finding.label}: {finding.message}"
    if finding.urn:
        yield f"  at:   {finding.urn}"
    if finding.path:
        yield f"  path: {' → '.join(finding.path)}"
    if finding.waiver:
        yield f"  waived: {finding.waiver}"
    else:
        yield f"  {output.paint('fix:', 'cyan')}  {finding.fix}"


def _waivers(report: Report, output: Output) -> Iterable[str]:
    for each in report.violations:
        if each.policy == "waivers":
            yield f"{output.paint('waiver', 'red', 'bold')} {each.message}"


def _notes(report: Report) -> Iterable[str]:
    for finding in report.findings:
        if finding.outcome is Outcome.PASS and finding.message:
            yield f"{finding.control.id}: {finding.message}"
    if report.disabled:
        yield f"not judged ({report.config} disables them): {', '.join(report.disabled)}"


def _verdict(report: Report, output: Output) -> str:
    counts = report.counts()
    numbers = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "undecided", "waived"))
    if report.blocking:
        return f"{output.paint('blocked', 'red', 'bold')}: {numbers}"
    return f"{output.paint('passed', 'green', 'bold')}: {numbers}"
