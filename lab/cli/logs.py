"""`slipway logs`: what the services print, also after they have ended."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root

EXAMPLES = """
slipway logs               the last lines of every service
slipway logs -f api        follow one service
slipway logs --raw -n 500 websocket | jq .
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("logs", help="show or follow what its processes print", examples=EXAMPLES)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="which (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "-n", "--lines", type=int, default=100, metavar="N", help="how many of each (default: 100)"
    )
    parser.add_argument("--raw", action="store_true", help="as written: JSON lines, no prefix")


def run(args: argparse.Namespace) -> int:
    """Read the files that `up` writes."""
    from lab.run import tail  # noqa: PLC0415  `slipway --help` does not pay for it
    from lab.run.home import stack_home  # noqa: PLC0415

    root = project_root()
    home = stack_home(root, known_stack(root, args.stack))
    wanted = tail.Wanted(
        names=tuple(args.services),
        lines=max(args.lines, 0),
        follow=args.follow,
        raw=args.raw,
        seconds=args.timeout,
    )
    return tail.show(home, wanted, args.output)
