"""`slipway explain`: what a control asks for, why, what it calls bad and good, and the way out."""

from __future__ import annotations

import argparse
from typing import Any

from lab.errors import EXIT_OK, LabError
from lab.output import Output

EXAMPLES = """
slipway explain                  every control: id, severity, title
slipway explain SLP-NET-001      what, why, a bad and a good example, the fix, where to read more
slipway explain RDS.3            the controls that answer an id of Security Hub, CIS, cdk-nag or checkov
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("explain", help="what a control asks for, and why", examples=EXAMPLES)
    parser.add_argument("control", nargs="?", metavar="ID", help="a control, or an id of another catalogue")


def run(args: argparse.Namespace) -> int:
    """Print one control, or list all."""
    from policies import pack, reference  # noqa: PLC0415  `slipway --help` does not pay for the pack

    output: Output = args.output
    if args.control is None:
        found = pack.controls()
        output.data({"controls": [reference.document(each) for each in found]}, _list(found, output))
        return EXIT_OK
    found = reference.find(args.control)
    if not found:
        near = reference.nearest(args.control)
        listed = ", ".join(f"{each.id} ({each.title})" for each in near)
        raise LabError(
            f"control {args.control!r} is unknown",
            cause="no control has this id, and none answers it as an id of another catalogue",
            hint=f"did you mean {listed}?" if near else "slipway explain lists all",
            code="unknown-control",
        )
    text = "\n\n".join(_text(each, output) for each in found)
    output.data({"controls": [reference.document(each) for each in found]}, text)
    return EXIT_OK


def _list(controls: list[Any], output: Output) -> str:
    from policies.control import FAMILIES  # noqa: PLC0415

    lines: list[str] = []
    for family in FAMILIES:
        of_family = [control for control in controls if control.family == family]
        lines += ["", output.paint(f"{family} ({len(of_family)})", "bold")]
        lines += [f"  {each.id}  {each.severity:<8}  {each.title}" for each in of_family]
    return "\n".join(lines[1:])


def _text(control: Any, output: Output) -> str:
    from policies import reference  # noqa: PLC0415

    paint = output.paint
    lines = [
        paint(f"{control.id} {control.title}", "bold"),
        f"{control.severity}, {control.family}" + ("" if control.waivable else "; cannot be waived"),
        "",
        f"{paint('why:', 'bold')} {control.rationale}",
    ]
    for title, colour, examples in (("bad", "red", control.bad), ("good", "green", control.good)):
        if examples:
            lines += ["", f"{paint(f'{title}:', colour)}", _indented(reference.snippet(examples))]
    lines += ["", f"{paint('fix:', 'cyan')} {control.remediation}"]
    labels = control.frameworks.labels()
    if labels:
        lines += ["", f"also known as: {', '.join(labels)}"]
    if control.references:
        lines += ["", "read more:", *(f"  {each}" for each in control.references)]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
