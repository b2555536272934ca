"""`slipway wait`: until the stack that runs here serves."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument

EXAMPLES = """
slipway wait                 return when the whole stack serves
slipway wait --timeout 30    or exit with code 3 and who is late
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    stack_argument(subparsers.add_parser("wait", help="wait until it serves", examples=EXAMPLES))


def run(args: argparse.Namespace) -> int:
    """Poll the status of the running `up`."""
    from lab.run import background  # noqa: PLC0415  `slipway --help` does not pay for it
    from lab.run.home import StatusFile, stack_home  # noqa: PLC0415

    root = project_root()
    stack = known_stack(root, args.stack)
    return background.wait(StatusFile(stack_home(root, stack)), stack, args.timeout, args.output)
