"""A report for a person: by tier, then resource, each finding with its path and one way out; then counts."""

from __future__ import annotations

from collections.abc import Iterator

from lab.check.entries import STACK, Entry, by_tier, entries
from lab.check.judge import Money, Report
from lab.output import Output
from policies.control import Control

_STATES = {"fail": "red", "undecided": "yellow", "waived": "blue"}


def text(report: Report, output: Output) -> str:
    """The whole report."""
    found = entries(report)
    lines = [
        output.paint(
            f"stack {report.stack}: {len(report.controls)} controls on {report.resources} resources "
            f"({report.config}, {report.seconds:.1f} s)",
            "bold",
        )
    ]
    for tier, resources in by_tier([each for each in found if each.state != "waived"]):
        lines.extend(["", output.paint(f"{tier}" if tier == STACK else f"tier {tier}", "bold")])
        for resource, group in resources:
            lines.extend(_resource(resource, group, output))
    lines.extend(_waived([each for each in found if each.state == "waived"], output))
    lines.extend(_waiver_problems(report, output))
    lines.append("")
    lines.extend(_controls(report, output) if output.verbose else _families(report, output))
    lines.extend(["", *_notes(report, output), _verdict(report, output)])
    return "\n".join(lines)


def _resource(resource: str, group: list[Entry], output: Output) -> Iterator[str]:
    first = group[0]
    place = f"  {first.place.file}:{first.place.line}" if first.place else ""
    if first.urn:
        yield f"  {output.paint(resource, 'bold')}{output.paint(place, 'dim')}"
        yield output.paint(f"    {first.urn}", "dim")
    for entry in group:
        state = output.paint(f"{entry.state} {entry.control.id}", _STATES[entry.state], "bold")
        level = entry.control.severity if entry.blocking else f"{entry.control.severity}, does not block"
        yield f"    {state} [{level}] {entry.message}"
        if entry.path:
            yield f"      path: {' → '.join(entry.path)}"
        yield f"      {output.paint('fix:', 'cyan')}  {entry.fix}"


def _waived(found: list[Entry], output: Output) -> Iterator[str]:
    """Every waiver that was applied, with what it let through."""
    if found:
        yield ""
        yield output.paint("waived", "bold")
    for entry in found:
        head = output.paint(f"waived {entry.control.id}", "blue", "bold")
        yield f"  {head} [{entry.control.severity}] {entry.resource}: {entry.message}"
        if entry.urn:
            yield output.paint(f"    {entry.urn}", "dim")
        yield f"    waiver: {entry.waiver}"


def _waiver_problems(report: Report, output: Output) -> Iterator[str]:
    if report.waiver_problems:
        yield ""
        yield output.paint("waivers", "bold")
    for problem in report.waiver_problems:
        yield f"  {output.paint('fail', 'red', 'bold')} {problem.text()}"


def _families(report: Report, output: Output) -> Iterator[str]:
    """A line per family."""
    for family in dict.fromkeys(control.family for control in report.controls):
        group = [control for control in report.controls if control.family == family]
        counts = [report.counts(control) for control in group]
        total = {name: sum(each[name] for each in counts) for name in counts[0]}
        silent = sum(not sum(each.values()) for each in counts)
        more = f"; {silent} of {len(group)} controls had nothing to judge" if silent else ""
        yield f"  {_mark(total, output)} {family}: {_numbers(total)}{more}"


def _controls(report: Report, output: Output) -> Iterator[str]:
    """A line per control; one that judged nothing is seen as well."""
    for family in dict.fromkeys(control.family for control in report.controls):
        yield output.paint(family, "bold")
        for control in report.controls:
            if control.family == family:
                yield _row(control, report.counts(control), output)


def _row(control: Control, counts: dict[str, int], output: Output) -> str:
    return f"  {_mark(counts, output)} {control.id}  {control.title}: {_numbers(counts)}"


def _mark(counts: dict[str, int], output: Output) -> str:
    failed, undecided, passed = counts["fail"], counts["undecided"], counts["pass"]
    mark = "fail" if failed else "?" if undecided else "ok" if passed or counts["waived"] else "-"
    colour = {"fail": "red", "?": "yellow", "ok": "green", "-": "dim"}[mark]
    return output.paint(f"{mark:<4}", colour)


def _numbers(counts: dict[str, int]) -> str:
    numbers = [f"{counts[name]} {name}" for name in ("fail", "undecided", "waived", "pass") if counts[name]]
    return ", ".join(numbers) or "nothing to judge"


def _notes(report: Report, output: Output) -> Iterator[str]:
    if report.money:
        yield money(report.money)
    if report.unseen:
        yield f"{output.paint('not known', 'yellow')}: {unseen(report)}"
    if report.disabled:
        yield f"not judged ({report.config} disables them): {', '.join(report.disabled)}"
    for word, reason in report.switched_off.items():
        yield f"not judged ({report.config}): {word}: {reason}"
    if not report.related:
        yield "not judged: relations and budget, because the program ended before its graph was whole"


def unseen(report: Report) -> str:
    """The resources of types that the pack does not know, by type."""
    many, kinds = sum(report.unseen.values()), len(report.unseen)
    named = ", ".join(f"{type_} ({count})" if count > 1 else type_ for type_, count in report.unseen.items())
    return (
        f"{many} resource{'s' * (many != 1)} of {kinds} type{'s' * (kinds != 1)} "
        f"that no control names: {named}"
    )


def money(figures: Money) -> str:
    """The four figures in a line."""
    unpriced = f"{figures.unpriced or 'no'} resource{'s' * (figures.unpriced != 1)} without a price"
    limit = f" of ${figures.limit:,.2f}" if figures.limit is not None else ""
    return (
        f"cost: ${figures.total:,.2f}{limit} a month (baseline ${figures.baseline:,.2f}, declared use "
        f"${figures.usage:,.2f}), ${figures.exposure:,.2f} with autoscaling at its ceiling; "
        f"{unpriced}"
    )


def _verdict(report: Report, output: Output) -> str:
    counts = report.counts()
    numbers = ", ".join(f"{counts[name]} {name}" for name in ("pass", "fail", "undecided", "waived"))
    if report.blocking:
        return f"{output.paint('blocked', 'red', 'bold')}: {numbers}"
    if report.errors:
        return f"{output.paint('not whole', 'red', 'bold')}: {numbers}"
    return f"{output.paint('passed', 'green', 'bold')}: {numbers}"
