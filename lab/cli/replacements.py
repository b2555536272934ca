"""`slipway replacements`: what a preview of the engine would replace or remove though it holds data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lab import replacements
from lab.cli.common import project_root
from lab.errors import EXIT_FINDINGS, EXIT_OK
from lab.output import Output

EXAMPLES = """
pulumi preview --json > preview.json     what the engine would do
slipway replacements preview.json        what of it loses data that nobody agreed to lose
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "replacements", help="data that a preview would replace or remove", examples=EXAMPLES
    )
    parser.add_argument("preview", type=Path, metavar="FILE", help="what `pulumi preview --json` wrote")
    parser.add_argument(
        "--acknowledged",
        type=Path,
        metavar="FILE",
        help=f"who agreed to what (default: {replacements.ACKNOWLEDGED} of the project)",
    )


def run(args: argparse.Namespace) -> int:
    """Read, judge, print; exit 1 when something would be lost that nobody answers for."""
    agreed = replacements.load(args.acknowledged or project_root() / replacements.ACKNOWLEDGED)
    steps = replacements.steps(args.preview)
    found = replacements.judge(steps, agreed)
    unused = replacements.unused(steps, agreed, found)
    document = {
        "passed": not any(each.open for each in found),
        "findings": [_document(each) for each in found],
        "unused": [each.model_dump(mode="json") for each in unused],
    }
    lines = [line for each in found for line in _lines(each, args.output)]
    lines.extend(f"unused: the acknowledgement of {each.owner} for {each.urn}: remove it" for each in unused)
    lines.append(_verdict(found, args.output))
    args.output.data(document, "\n".join(lines))
    return EXIT_OK if document["passed"] else EXIT_FINDINGS


def _document(found: replacements.Finding) -> dict[str, Any]:
    agreed = found.acknowledged
    return {
        "urn": found.urn,
        "what": found.what,
        "fate": found.fate,
        "because": list(found.because),
        "problem": found.problem,
        "acknowledged": agreed.model_dump(mode="json") if agreed else None,
    }


def _lines(found: replacements.Finding, output: Output) -> list[str]:
    because = f" because of {', '.join(found.because)}" if found.because else ""
    head = output.paint("lost", "red", "bold") if found.open else output.paint("agreed", "blue", "bold")
    lines = [f"{head} {found.what} would be {found.fate}{because}", f"  at:   {found.urn}"]
    if found.acknowledged is not None:
        agreed = found.acknowledged
        return [*lines, f"  by:   {agreed.owner} until {agreed.expires}: {agreed.reason}"]
    if found.problem:
        lines.append(f"  note: {found.problem}")
    fix = f"undo the change, or add the URN to {replacements.ACKNOWLEDGED} (urn, reason, owner, expires)"
    return [*lines, f"  {output.paint('fix:', 'cyan')}  {fix}"]


def _verdict(found: list[replacements.Finding], output: Output) -> str:
    missing = sum(each.open for each in found)
    if missing:
        blocked = output.paint("blocked", "red", "bold")
        return f"{blocked}: {missing} would lose data that nobody agreed to lose"
    word = f"{len(found)} agreed to" if found else "nothing that holds data is replaced or removed"
    return f"{output.paint('passed', 'green', 'bold')}: {word}"
