"""`slipway synth`: the resource graph of a stack, composed in process, without a cloud."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_OK

EXAMPLES = """
slipway synth prod               how many resources of which type
slipway synth dev --json         the whole graph; secrets masked, unknown values as the engine spells them
slipway synth dev --resolved     with the ids and ARNs that AWS would compute, in form
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("synth", help="compose its resource graph", examples=EXAMPLES)
    stack_argument(parser)
    parser.add_argument("--resolved", action="store_true", help="fill in what AWS computes")


def run(args: argparse.Namespace) -> int:
    """Compose and print."""
    from lab.synth import synth  # noqa: PLC0415  `slipway --help` does not pay for Pulumi

    root = project_root()
    started = time.monotonic()
    graph = synth(root, known_stack(root, args.stack), mode="resolved" if args.resolved else "preview")
    seconds = time.monotonic() - started
    types = Counter(resource.type for resource in graph)
    rows = [
        f"  {count:>4}  {type_}" for type_, count in sorted(types.items(), key=lambda row: (-row[1], row[0]))
    ]
    head = (
        f"stack {graph.stack}: {len(graph)} resources of {len(types)} types ({graph.mode}, {seconds:.1f} s)"
    )
    args.output.data(graph.document(), "\n".join([head, *rows]))
    return EXIT_OK
