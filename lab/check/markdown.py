"""A report as a comment on a pull request: a table, findings to unfold, the cost; within GitHub's limit."""

from __future__ import annotations

from typing import Final

from lab.check.entries import Entry, by_tier, entries
from lab.check.judge import Report
from lab.check.text import money, unseen

LIMIT: Final = 65_536  # characters of a comment; GitHub refuses a longer one
_RESERVE: Final = 1_000  # for what stands after the findings
_MARKS: Final = {"fail": "❌", "undecided": "❓", "waived": "🟦"}


def markdown(report: Report) -> str:
    """The comment; findings that do not fit are counted."""
    found = entries(report)
    lines = [
        f"### {_verdict(report)} `slipway check {report.stack}`",
        "",
        _counts(report),
        "",
        *_table(report),
    ]
    lines.extend(
        f"\n> **error** {_inline(error.message)} — {_inline(error.hint or '')}" for error in report.errors
    )
    if report.money:
        lines.extend(["", _inline(money(report.money))])
    if report.unseen:
        lines.extend(["", f"not known: {_inline(unseen(report))}"])
    head = "\n".join(lines) + "\n"
    blocks = [block for tier, group in by_tier(found) for block in _tier(tier, group)]
    blocks.extend(f"\n❌ **waiver** {_inline(problem.text())}\n" for problem in report.waiver_problems)
    return _fitting(head, blocks)


def _fitting(head: str, blocks: list[str]) -> str:
    """As many blocks as there is room for, and how many there was none for."""
    text = head
    for index, block in enumerate(blocks):
        if len(text) + len(block) > LIMIT - _RESERVE:
            left = len(blocks) - index
            return f"{text}\n_{left} more findings are not shown here: the report of the run has them all._\n"
        text += block
    return text


def _verdict(report: Report) -> str:
    if report.errors:
        return "⚠️ not whole:"
    return "❌ blocked:" if report.blocking else "✅ passed:"


def _counts(report: Report) -> str:
    counts = report.counts()
    numbers = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "undecided", "waived"))
    return f"{numbers} — {len(report.controls)} controls on {report.resources} resources ({report.config})"


def _table(report: Report) -> list[str]:
    lines = ["| family | pass | fail | undecided | waived |", "|---|--:|--:|--:|--:|"]
    for family in dict.fromkeys(control.family for control in report.controls):
        counts = [report.counts(control) for control in report.controls if control.family == family]
        total = {name: sum(each[name] for each in counts) for name in counts[0]}
        lines.append(
            f"| {family} | {total['pass']} | {total['fail']} | {total['undecided']} | {total['waived']} |"
        )
    return lines


def _tier(tier: str, resources: list[tuple[str, list[Entry]]]) -> list[str]:
    return [_block(tier, entry) for _, group in resources for entry in group]


def _block(tier: str, entry: Entry) -> str:
    """One finding, folded; each stands for itself, so that a cut never leaves one open."""
    mark = _MARKS[entry.state]
    summary = f"{mark} {entry.control.id} [{entry.control.severity}] {tier}: {entry.resource}"
    rows = [f"**{_inline(entry.control.title)}**", "", _inline(entry.message)]
    if entry.path:
        rows.extend(["", f"path: {_inline(' → '.join(entry.path))}"])
    if entry.waiver:
        rows.extend(["", f"waived: {_inline(entry.waiver)}"])
    else:
        rows.extend(["", f"**fix:** {_inline(entry.fix)}"])
    if entry.urn:
        place = f" ({entry.place.file}:{entry.place.line})" if entry.place else ""
        rows.extend(["", f"`{entry.urn.replace('`', '')}`{_inline(place)}"])
    body = "\n".join(rows)
    return f"\n<details><summary>{_inline(summary)}</summary>\n\n{body}\n\n</details>\n"


def _inline(words: str) -> str:
    """Text that stays text: no tags, no table cells, no mentions, no headings of its own."""
    escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")
    return " ".join(escaped.replace("@", "@\u200b").split())
