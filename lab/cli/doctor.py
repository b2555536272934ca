"""`slipway doctor`: what this machine lacks, and the one command that mends it."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.cli.common import project_root
from lab.doctor import Machine, checks, examine
from lab.errors import EXIT_FINDINGS, EXIT_OK, LabError

if TYPE_CHECKING:
    from typing import Any

    from lab.doctor import Verdict
    from lab.output import Output

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def register(subparsers: Any) -> None:
    """`slipway doctor [CHECK ...]`."""
    parser = subparsers.add_parser(
        "doctor",
        help="look at this machine and say what is missing",
        examples="slipway doctor\nslipway doctor port disk\nslipway doctor --json",
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="only these (default: all)")


def run(args: argparse.Namespace) -> int:
    """Exit 1 when a check failed; warnings alone are fine."""
    known = checks()
    unknown = [name for name in args.checks if name not in known]
    if unknown:
        raise LabError(
            f"there is no check {unknown[0]!r}",
            cause=f"the checks are: {', '.join(known)}",
            hint="run `slipway doctor`",
            code="usage",
        )
    chosen = {name: check for name, check in known.items() if not args.checks or name in args.checks}
    verdicts = examine(Machine.here(project_root()), chosen)
    bad = any(verdict.status == "fail" for verdict in verdicts)
    document = {"ok": not bad, "checks": [asdict(verdict) for verdict in verdicts]}
    args.output.data(document, render(verdicts, args.output))
    return EXIT_FINDINGS if bad else EXIT_OK


def render(verdicts: list[Verdict], output: Output) -> str:
    """One line per check, the fix below it, the sum at the end."""
    width = max((len(verdict.name) for verdict in verdicts), default=0)
    lines: list[str] = []
    for verdict in verdicts:
        mark, colour = MARKS[verdict.status]
        lines.append(f"{output.paint(f'{mark:4}', colour)}  {verdict.name:{width}}  {verdict.fact}")
        if verdict.fix:
            lines.append(f"{'':{width + 6}}  {output.paint('fix:', 'cyan')} {verdict.fix}")
    counts = Counter(verdict.status for verdict in verdicts)
    lines.append(f"\n{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed")
    return "\n".join(lines)
