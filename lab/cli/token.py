"""`slipway token`: a bearer token for the stack that runs here."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_OK, LabError

EXAMPLES = """
slipway token --user ana                                       all scopes
slipway token --user ana --scope entities:read --group pilots
curl -H "Authorization: Bearer $(slipway token)" http://127.0.0.1:8080/v1/me
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("token", help="print a bearer token for it", examples=EXAMPLES)
    stack_argument(parser)
    parser.add_argument("--user", default="demo", help="the subject (default: demo)")
    parser.add_argument("--scope", action="append", metavar="S", help="may be repeated (default: all)")
    parser.add_argument("--group", action="append", metavar="G", help="may be repeated (default: demo)")


def run(args: argparse.Namespace) -> int:
    """Ask the front, whose issuer the running services trust."""
    from lab.run.home import StatusFile, stack_home  # noqa: PLC0415  `slipway --help` does not pay for it

    root = project_root()
    stack = known_stack(root, args.stack)
    url = StatusFile(stack_home(root, stack)).required(stack).get("url")
    query = [("user", args.user), *(("group", name) for name in args.group or ())]
    if args.scope:
        query.append(("scope", " ".join(args.scope)))
    try:
        with urlopen(f"{url}/.slipway/token?{urlencode(query)}", timeout=10) as answer:  # noqa: S310  our own URL
            document = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise LabError(
            f"stack {stack!r} gives no token",
            cause=f"{url}: {error}",
            hint="slipway wait",
            code="no-token",
        ) from error
    args.output.data(document, document["token"])
    return EXIT_OK
