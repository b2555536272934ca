"""A report as one JSON document; each finding and each error has an `error.code` for scripts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

from lab.check.entries import Entry, entries
from lab.check.judge import Report
from policies.waivers import WaiverProblem

_READS: Final = re.compile(r"reads `([^`]+)`")


def document(report: Report) -> dict[str, Any]:
    """The report for `--json`."""
    failure = {"ok": False, "error": report.errors[0].document()} if report.errors else {}
    return {
        **failure,
        "stack": report.stack,
        "config": report.config,
        "resources": report.resources,
        "seconds": round(report.seconds, 3),
        "passed": not report.blocking and not report.errors,
        "complete": report.related,
        "counts": report.counts(),
        "disabled": list(report.disabled),
        "switchedOff": dict(report.switched_off),
        "unknownTypes": dict(report.unseen),
        "cost": _cost(report),
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
        "findings": [_finding(entry) for entry in entries(report)],
        "waivers": {
            "applied": [
                {**waiver.model_dump(mode="json"), "covers": sorted(urns)} for waiver, urns in report.waivers
            ],
            "problems": [_problem(problem) for problem in report.waiver_problems],
        },
        "violations": [
            {"policy": each.policy, "mandatory": each.mandatory, "urn": each.urn, "message": each.message}
            for each in report.violations
        ],
        "errors": [error.document() for error in report.errors],
    }


def _finding(entry: Entry) -> dict[str, Any]:
    reads = _READS.search(entry.message) if entry.state == "undecided" else None
    return {
        "control": entry.control.id,
        "severity": entry.control.severity,
        "outcome": entry.state,
        "blocking": entry.blocking,
        "tier": entry.tier,
        "urn": entry.urn,
        "resource": entry.resource,
        "place": dataclasses.asdict(entry.place) if entry.place else None,
        "message": entry.message,
        "unknown": reads[1] if reads else None,
        "path": list(entry.path),
        "fix": entry.fix,
        "waiver": entry.waiver,
        "error": {
            "code": entry.code,
            "message": f"{entry.control.id} {entry.resource}: {entry.message}",
            "cause": " → ".join(entry.path) or None,
            "hint": entry.fix,
        },
    }


def _problem(problem: WaiverProblem) -> dict[str, Any]:
    return {
        "control": problem.waiver.control,
        "urn": problem.waiver.urn,
        "owner": problem.waiver.owner,
        "ticket": problem.waiver.ticket,
        "error": {
            "code": problem.code,
            "message": problem.text(),
            "cause": None,
            "hint": "renew it with a new day and reason, narrow it, or take it out of the file",
        },
    }


def _cost(report: Report) -> dict[str, Any] | None:
    if report.money is None:
        return None
    return {"total": report.money.total, **dataclasses.asdict(report.money)}
