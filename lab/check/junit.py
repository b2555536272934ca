"""A report as JUnit XML, which every CI system shows: a suite per family, a case per control and resource."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from lab.check.entries import Entry, entries
from lab.check.judge import Report
from policies.control import Control, Finding, Outcome

# what XML 1.0 cannot hold, even escaped
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The document. An undecided verdict that blocks is a failure; waived and silent ones are skipped."""
    root = ET.Element("testsuites", name=f"slipway check {report.stack}")
    found = {(entry.control.id, entry.urn): entry for entry in entries(report)}
    for family in dict.fromkeys(control.family for control in report.controls):
        group = [control for control in report.controls if control.family == family]
        _suite(root, family, group, report, found)
    extra = ET.SubElement(root, "testsuite", name="waivers")
    for problem in report.waiver_problems:
        name = f"{problem.waiver.control} {problem.waiver.urn}"
        case = ET.SubElement(extra, "testcase", classname=f"{report.stack}.waivers", name=_clean(name))
        _add(case, "failure", problem.code, problem.text())
    for error in report.errors:
        case = ET.SubElement(extra, "testcase", classname=f"{report.stack}.errors", name=error.code)
        _add(case, "error", error.code, "\n".join(filter(None, (error.message, error.cause, error.hint))))
    for suite in root:
        _count(suite)
    _count(root)
    root.set("time", f"{report.seconds:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(
    root: ET.Element,
    family: str,
    group: Sequence[Control],
    report: Report,
    found: dict[tuple[str, str], Entry],
) -> None:
    suite = ET.SubElement(root, "testsuite", name=family)
    for control in group:
        findings = [each for each in report.findings if each.control.id == control.id]
        for finding in findings:
            _case(suite, finding, report.stack, found.get(finding.key))
        if not findings:
            case = _named(suite, control, report.stack, "nothing to judge")
            ET.SubElement(case, "skipped", message="nothing to judge")


def _case(suite: ET.Element, finding: Finding, stack: str, entry: Entry | None) -> None:
    where = finding.urn.rpartition("::")[2] or "the stack"
    case = _named(suite, finding.control, stack, where)
    if entry is None or finding.outcome is Outcome.PASS:
        return
    if entry.state == "waived":
        ET.SubElement(case, "skipped", message=_clean(f"waived: {entry.waiver}"))
    elif entry.blocking:
        _add(case, "failure", entry.code, finding.text())
    else:
        ET.SubElement(case, "skipped", message=_clean(f"does not block: {finding.text()}"))


def _named(suite: ET.Element, control: Control, stack: str, where: str) -> ET.Element:
    return ET.SubElement(
        suite,
        "testcase",
        classname=f"{stack}.{control.family}.{control.id}",
        name=_clean(f"{control.id} {control.title} [{where}]"),
    )


def _add(case: ET.Element, kind: str, code: str, words: str) -> None:
    clean = _clean(words)
    element = ET.SubElement(case, kind, type=code, message=clean.partition("\n")[0])
    element.text = clean


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(element.findall(".//testcase"))))
    for plural, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(plural, str(len(element.findall(f".//{name}"))))


def _clean(words: str) -> str:
    return _FORBIDDEN.sub("�", words)
