"""`slipway ps`: the processes of the stack that runs here."""

from __future__ import annotations

import argparse
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_FINDINGS, EXIT_OK

EXAMPLES = """
slipway ps           state, pid, port, time to ready and restarts of each process
slipway ps --json    the same for a script, with the path of each log
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    stack_argument(subparsers.add_parser("ps", help="show its processes", examples=EXAMPLES))


def run(args: argparse.Namespace) -> int:
    """Print the table; exit 1 when a process does not serve."""
    from lab.run.home import StatusFile, stack_home  # noqa: PLC0415  `slipway --help` does not pay for it
    from lab.run.progress import table  # noqa: PLC0415

    root = project_root()
    stack = known_stack(root, args.stack)
    document = StatusFile(stack_home(root, stack)).required(stack)
    rows = document["rows"]
    url = document.get("url") or "no address yet"
    text = f"{table(rows, args.output)}\n\nstack {stack}: {document['phase']}, pid {document['pid']}, {url}"
    output = {key: document.get(key) for key in ("stack", "phase", "pid", "url", "seconds", "rows", "late")}
    args.output.data({**output, "stack": stack}, text)
    return EXIT_FINDINGS if any(row["state"] == "failed" for row in rows) else EXIT_OK
