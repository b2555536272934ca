"""`slipway down`: stop the stack that runs here; keep its data, or drop it."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument

EXAMPLES = """
slipway down           stop; the data of PostgreSQL, Valkey and the AWS emulator stays, together
slipway down --wipe    stop and drop all three, together
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "down", help="stop it; its data is kept (--wipe drops it)", examples=EXAMPLES
    )
    stack_argument(parser)
    parser.add_argument("--wipe", action="store_true", help="drop the data too")


def run(args: argparse.Namespace) -> int:
    """SIGTERM to the running `up`, then wait for it."""
    from lab.run import background  # noqa: PLC0415  `slipway --help` does not pay for it
    from lab.run.home import StatusFile, stack_home  # noqa: PLC0415

    root = project_root()
    stack = known_stack(root, args.stack)
    status = StatusFile(stack_home(root, stack))
    return background.down(status, stack, args.timeout, args.output, drop=args.wipe)
