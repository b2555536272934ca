"""`slipway check`: the policies, proved on a stack's preview-mode graph, without a cloud."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_FINDINGS, EXIT_OK

EXAMPLES = """
slipway check prod          every control: pass, fail or undecided, with the path and the fix
slipway check dev --json    the same for a script
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    stack_argument(subparsers.add_parser("check", help="prove the policies on its graph", examples=EXAMPLES))


def run(args: argparse.Namespace) -> int:
    """Compose, judge, print; exit 1 when something would stop a deployment."""
    from lab.check import judge, report  # noqa: PLC0415  `slipway --help` does not pay for Pulumi
    from lab.synth import synth  # noqa: PLC0415

    root = project_root()
    result = judge.check(synth(root, known_stack(root, args.stack), mode="preview"))
    args.output.data(report.document(result), report.text(result, args.output))
    return EXIT_FINDINGS if result.blocking else EXIT_OK
