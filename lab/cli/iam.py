"""`slipway iam`: least privilege from both sides, by what the services of a local run were seen to call."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli.common import DEFAULT_STACK, known_stack, project_root, stack_argument
from lab.errors import EXIT_FINDINGS, EXIT_OK, LabError

if TYPE_CHECKING:
    from lab.iam.facts import Facts

EXAMPLES = """
slipway iam                     every role of `local`: what its service calls is allowed, and nothing else
slipway iam prod                the same calls, against the roles of prod
slipway iam dev --calls FILE    by a recording that was kept
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "iam", help="prove that each role has exactly what it uses", examples=EXAMPLES
    )
    stack_argument(parser)
    parser.add_argument("--calls", type=Path, metavar="FILE", help="the recording (default: of the last run)")
    parser.add_argument(
        "--recorded-on",
        default=DEFAULT_STACK,
        metavar="STACK",
        help=f"the stack that ran when it was made (default: {DEFAULT_STACK})",
    )
    parser.add_argument(
        "--waivers", type=Path, metavar="FILE", help="accepted findings (default: policies/waivers.iam.yaml)"
    )


def run(args: argparse.Namespace) -> int:
    """Compose, judge, print; exit 1 when a role has too little or too much."""
    from lab.iam import judge, recording, report, waivers  # noqa: PLC0415  `--help` does not pay for Pulumi
    from lab.run.home import stack_home  # noqa: PLC0415
    from lab.servers.emulator import calls_file  # noqa: PLC0415

    root = project_root()
    stack, source = known_stack(root, args.stack), known_stack(root, args.recorded_on)
    # read before anything is composed: without a recording there is nothing to wait for
    found = recording.read(args.calls or calls_file(stack_home(root, source)), stack=source)
    shipped = root / waivers.DEFAULT_PLACE
    accepted = waivers.load(args.waivers or shipped) if args.waivers or shipped.is_file() else []
    facts = _facts(root, stack)
    if source != stack:
        found = recording.translated(found, _facts(root, source), facts)
    result = judge.judge(facts, found, accepted)
    args.output.data(report.document(result), report.text(result, args.output))
    return EXIT_OK if result.passed else EXIT_FINDINGS


def _facts(root: Path, stack: str) -> Facts:
    """The stack, resolved, with the account and region that its config names."""
    from lab.iam.facts import Facts  # noqa: PLC0415
    from lab.synth import read_stack, synth  # noqa: PLC0415

    project, config, _ = read_stack(root, stack)
    account = config.get(f"{project}:account_id")
    region = config.get(f"{project}:region") or config.get("aws:region")
    if not account or not region:
        raise LabError(
            f"stack {stack!r} names no account or no region",
            cause="ARNs are computed from both, so no role can be judged without them",
            hint=f"pulumi config set {project}:account_id 123456789012 -s {stack} (and {project}:region)",
            code="no-account",
        )
    return Facts(synth(root, stack, mode="resolved"), account, region)
