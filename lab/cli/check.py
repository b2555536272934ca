"""`slipway check`: the policies, proved on a stack's preview-mode graph, without a cloud."""

from __future__ import annotations

import argparse
import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import EXIT_BROKEN, EXIT_FINDINGS, EXIT_OK, LabError

if TYPE_CHECKING:
    from lab.check.judge import Report

EXAMPLES = """
slipway check prod                        what is wrong, by tier, each with its path and one fix
slipway check prod -v                     and a line per control, those with nothing to judge included
slipway check dev --json                  the same for a script; each finding has an error.code
slipway check dev --sarif check.sarif --junit check.xml --markdown check.md
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("check", help="prove the policies on its graph", examples=EXAMPLES)
    stack_argument(parser)
    files = parser.add_argument_group("also write")
    for name, words in (
        ("sarif", "SARIF 2.1.0, for code scanning"),
        ("junit", "JUnit XML, for a CI system"),
        ("markdown", "a comment for a pull request"),
    ):
        files.add_argument(f"--{name}", type=Path, metavar="FILE", help=words)
    inputs = parser.add_argument_group("judge by")
    inputs.add_argument("--config", type=Path, metavar="FILE", help="levels and parameters of the policies")
    inputs.add_argument("--waivers", type=Path, metavar="FILE", help="accepted findings")


def run(args: argparse.Namespace) -> int:
    """Compose, judge, write, print; exit 1 when something would stop a deployment, 2 when it is not whole."""
    from lab.check import judge  # noqa: PLC0415  `slipway --help` does not pay for Pulumi
    from lab.check.document import document  # noqa: PLC0415
    from lab.check.secrets import Redactor  # noqa: PLC0415
    from lab.check.text import text  # noqa: PLC0415
    from lab.synth import synth_so_far  # noqa: PLC0415

    root = project_root()
    graph, ended = synth_so_far(root, known_stack(root, args.stack))
    if ended is not None and not len(graph):
        raise ended
    report = judge.check(graph, root=root, config_file=args.config, waiver_file=args.waivers, ended=ended)
    _write(report, args)
    args.output.data(document(report), text(report, args.output))
    for error in report.errors:
        if args.output.verbose and error.__cause__:
            args.output.detail(Redactor(graph).text("".join(traceback.format_exception(error.__cause__))))
        args.output.fail(error)
    if report.errors:
        return EXIT_BROKEN
    return EXIT_FINDINGS if report.blocking else EXIT_OK


def _write(report: Report, args: argparse.Namespace) -> None:
    """The files that were asked for, whatever the verdict."""
    from lab.check.junit import junit  # noqa: PLC0415
    from lab.check.markdown import markdown  # noqa: PLC0415
    from lab.check.sarif import sarif  # noqa: PLC0415

    if args.sarif:
        _file(args.sarif, json.dumps(sarif(report), indent=2, ensure_ascii=False) + "\n")
    if args.junit:
        _file(args.junit, junit(report))
    if args.markdown:
        _file(args.markdown, markdown(report))


def _file(path: Path, body: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{path} cannot be written", cause=str(error), hint="name another file", code="out-not-writable"
        ) from error
