"""`slipway cost`: what the stack will cost in a month, before it exists."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_FINDINGS, EXIT_OK

EXAMPLES = """
slipway cost prod                    baseline, declared use, exposure and what has no price, per tier
slipway cost prod --by resource      what each resource costs, the dearest first
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("cost", help="estimate its monthly bill", examples=EXAMPLES)
    stack_argument(parser)
    parser.add_argument(
        "--by", choices=("tier", "service", "resource"), default="tier", help="what a row is (default: tier)"
    )
    parser.add_argument("--markdown", action="store_true", help="a table for a pull request")


def run(args: argparse.Namespace) -> int:
    """Compose, price, print; exit 1 when the stack costs more than its budget."""
    from lab.cost import report  # noqa: PLC0415  `slipway --help` does not pay for Pulumi
    from lab.cost.bill import bill  # noqa: PLC0415
    from lab.synth import synth  # noqa: PLC0415

    root = project_root()
    priced = bill(synth(root, known_stack(root, args.stack), mode="preview"))
    words = report.markdown(priced, args.by) if args.markdown else report.text(priced, args.by, args.output)
    args.output.data(report.document(priced, args.by), words)
    return EXIT_FINDINGS if priced.over else EXIT_OK
