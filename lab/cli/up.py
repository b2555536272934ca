"""`slipway up`: run a stack on this machine, in the foreground or detached."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from lab.cli.common import known_stack, project_root, stack_argument
from lab.errors import LabError

EXAMPLES = """
slipway up                          the stack `local` with recorded aircraft on its map
slipway up --detach                 the same in the background; then: slipway logs -f
slipway up dev --replicas api=2     the graph of another stack, two processes of one service
slipway up --no-replay --port 9000  an empty map on another port
"""
DEFAULT_SPEED = 10.0


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("up", help="run a stack on this machine", examples=EXAMPLES)
    stack_argument(parser)
    parser.add_argument(
        "--port",
        type=_port,
        default=None,
        metavar="N",
        help="of the front (default: SLIPWAY_PORT, else 8080; 0: any free one)",
    )
    parser.add_argument(
        "--replicas",
        action="append",
        default=[],
        metavar="N|NAME=N",
        help="processes per service (default: one); may be repeated",
    )
    parser.add_argument("-d", "--detach", action="store_true", help="return once it serves")
    parser.add_argument(
        "--replay",
        action="append",
        metavar="FILE",
        help="tracks to play, built in or your own (default for `local`: the built-in ones)",
    )
    parser.add_argument("--speed", type=float, default=None, help="of the replay (default: 10)")
    parser.add_argument("--no-replay", action="store_true", help="no recorded tracks")


def run(args: argparse.Namespace) -> int:
    """Start, wait until it serves, and (unless detached) stay until Ctrl-C."""
    from lab.run import background, foreground  # noqa: PLC0415  `slipway --help` does not pay for it
    from lab.run.stack import Options  # noqa: PLC0415

    root = project_root()
    options = Options(
        root=root,
        stack=known_stack(root, args.stack),
        port=args.port if args.port is not None else _port_of_environment(),
        replicas=_replicas(args.replicas),
        extras=foreground.replay(args.replay, args.speed) if _wants_replay(args) else lambda _url: (),
        **({"ready_seconds": args.timeout} if args.timeout else {}),
    )
    if args.detach:
        words = [word for word in sys.argv[1:] if word not in {"--detach", "-d", "--json"}]
        return background.up(options, words, args.output)
    return foreground.up(options, args.output)


def _wants_replay(args: argparse.Namespace) -> bool:
    if args.no_replay and args.replay:
        raise LabError(
            "--replay and --no-replay contradict each other", hint="give one of them", code="usage"
        )
    return not args.no_replay and (bool(args.replay) or args.stack == "local")


def _port_of_environment() -> int:
    text = os.environ.get("SLIPWAY_PORT", "").strip()
    try:
        return _port(text) if text else 8080
    except argparse.ArgumentTypeError as error:
        raise LabError(
            f"SLIPWAY_PORT is {error}", hint="export SLIPWAY_PORT=8081, or unset it", code="usage"
        ) from error


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}, which is no port number (0 to 65535)")
    return int(text)


def _replicas(words: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        if not number.isdecimal() or not 1 <= int(number) <= 20:
            raise LabError(
                f"--replicas {word!r} is not understood",
                cause="a number from 1 to 20, or NAME=NUMBER, is wanted",
                hint="slipway up --replicas api=2",
                code="usage",
            )
        found[name] = int(number)
    return found
