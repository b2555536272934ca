"""A report as SARIF 2.1.0, which code scanning of GitHub and editors read: rules, results, suppressions."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from lab.check.entries import Entry, entries
from lab.check.judge import Report
from policies import pack
from policies.control import Control

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub sorts security results by this number: above 9 critical, above 7 high, above 4 medium
_SCORES: Final = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}


def sarif(report: Report) -> dict[str, Any]:
    """The log: one run of the pack."""
    numbers = {control.id: index for index, control in enumerate(report.controls)}
    waivers = [_waiver_result(each.code, each.text()) for each in report.waiver_problems]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "slipway check",
                        "semanticVersion": pack.VERSION,
                        "rules": [*(_rule(control) for control in report.controls), _WAIVER_RULE],
                    }
                },
                "automationDetails": {"id": f"slipway-check/{report.stack}/"},
                "invocations": [_invocation(report)],
                "results": [*(_result(entry, numbers, report) for entry in entries(report)), *waivers],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


_WAIVER_RULE: Final[dict[str, Any]] = {
    "id": "waivers",
    "name": "Waivers",
    "shortDescription": {"text": "Waivers are in force, used and narrow"},
    "fullDescription": {"text": "A waiver that is expired, unused or too broad hides what nobody decided."},
    "help": {
        "text": "Renew it with a new day and reason, narrow it, or take it out of policies/waivers.yaml."
    },
    "defaultConfiguration": {"level": "error"},
}


def _rule(control: Control) -> dict[str, Any]:
    frameworks = control.frameworks.labels()
    known = f"\n\nAlso: {', '.join(frameworks)}" if frameworks else ""
    return {
        "id": control.id,
        "name": "".join(word.capitalize() for word in control.title.split() if word.isalnum()) or control.id,
        "shortDescription": {"text": control.title},
        "fullDescription": {"text": control.rationale},
        "help": {
            "text": f"{control.rationale}\n\nFix: {control.remediation}{known}",
            "markdown": f"{control.rationale}\n\n**Fix:** {control.remediation}{known}",
        },
        "defaultConfiguration": {"level": _LEVELS[control.severity]},
        "properties": {
            "tags": ["security", control.family, *frameworks],
            "security-severity": _SCORES[control.severity],
            "precision": "very-high",
        },
    }


def _result(entry: Entry, numbers: dict[str, int], report: Report) -> dict[str, Any]:
    undecided = "undecided: " if entry.state == "undecided" else ""
    path = f" Path: {' → '.join(entry.path)}." if entry.path else ""
    result: dict[str, Any] = {
        "ruleId": entry.control.id,
        "ruleIndex": numbers[entry.control.id],
        "level": _LEVELS[entry.control.severity] if entry.blocking or entry.state == "waived" else "note",
        "message": {"text": f"{entry.resource}: {undecided}{entry.message}.{path} Fix: {entry.fix}"},
        "locations": [_location(entry, report)],
        "partialFingerprints": {"slipway/v1": _fingerprint(entry.control.id, entry.urn)},
        "properties": {"code": entry.code, "tier": entry.tier, "blocking": entry.blocking},
    }
    if entry.state == "waived":
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": entry.waiver}]
    return result


def _location(entry: Entry, report: Report) -> dict[str, Any]:
    """The line of the program that made it; the stack's file where no line is known."""
    file = entry.place.file if entry.place else f"Pulumi.{report.stack}.yaml"
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": file, "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": entry.place.line if entry.place else 1},
        }
    }
    if entry.urn:
        location["logicalLocations"] = [
            {"name": entry.resource, "fullyQualifiedName": entry.urn, "kind": "resource"}
        ]
    return location


def _waiver_result(code: str, message: str) -> dict[str, Any]:
    return {
        "ruleId": "waivers",
        "level": "error",
        "message": {"text": message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "policies/waivers.yaml", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 1},
                }
            }
        ],
        "partialFingerprints": {"slipway/v1": _fingerprint(code, message)},
        "properties": {"code": code},
    }


def _invocation(report: Report) -> dict[str, Any]:
    """Whether the report is whole, and what kept it from being so."""
    notes = [
        {
            "level": "error",
            "descriptor": {"id": error.code},
            "message": {"text": "\n".join(filter(None, (error.message, error.cause, error.hint)))},
        }
        for error in report.errors
    ]
    return {"executionSuccessful": not report.errors, "toolExecutionNotifications": notes}


def _fingerprint(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
