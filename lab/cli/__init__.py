"""The command line `slipway`: finds the verbs, parses the common flags, turns failures into words."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any

from lab.cli.common import DEFAULT_STACK, Formatter, VerbParser, common_flags
from lab.errors import EXIT_BROKEN, EXIT_INTERRUPTED, LabError
from lab.output import Output

# Verbs by group, in the order of the help. A verb is a module of this package with
# `register(subparsers)` and `run(args) -> int`; one that is not there is not listed.
GROUPS: dict[str, tuple[str, ...]] = {
    "run a stack here": ("up", "down", "ps", "logs", "wait", "token", "replay", "doctor"),
    "judge a stack, without a cloud": ("synth", "check", "iam", "cost", "diagram", "explain", "replacements"),
}
EXAMPLES = """\
examples:
  slipway up                   run the stack `local` on this machine, and open its map
  slipway check prod           prove the policies on the graph of `prod`
  slipway logs -f api          follow one service
  slipway down --wipe          stop everything and drop its data
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; `[project.scripts]` calls this."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Pulumi's AWS package takes 10 s to import from source: its bytecode is kept, whatever the shell prefers
    sys.dont_write_bytecode = False
    # and its 20,000 classes are not searched for garbage once more at the end: that took a second
    atexit.register(gc.freeze)
    # until the flags are parsed, their looks are read off the words: a usage error must honour --json too
    output = Output(json="--json" in words, color=False if "--no-color" in words else None)
    try:
        args = _parser(words).parse_args(words)
        _settle(args)
        output = args.output
        return int(args.run(args))
    except LabError as error:
        return _fail(output, error)
    except KeyboardInterrupt:
        return _fail(output, LabError("interrupted", code="interrupted", exit_code=EXIT_INTERRUPTED))
    except BrokenPipeError:
        # the reader of stdout has gone (`slipway logs | head`): not an error, and nothing more to say
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:  # argparse ends --help this way
        return stop.code if isinstance(stop.code, int) else EXIT_BROKEN
    except Exception as error:  # noqa: BLE001  the last line of defence: words instead of a traceback
        return _fail(output, _internal(error))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    root = VerbParser(
        prog="slipway",
        description=f"One typed stack: run it here, judge it, deploy it.\n\n{EXAMPLES}",
        usage="slipway VERB [flags]",
        formatter_class=_RootFormatter,
        common=False,
    )
    subparsers = root.add_subparsers(
        dest="verb", metavar="VERB", parser_class=VerbParser, title="verbs", prog="slipway"
    )
    known = [name for names in GROUPS.values() for name in names]
    # a verb in the first place is the only one loaded: `slipway ps` must not wait for the others' imports
    for name in words[:1] if words[:1] and words[0] in known else known:
        module = _verb(name)
        if module is not None:
            module.register(subparsers)
            subparsers.choices[name].set_defaults(run=module.run)
    common_flags(root)
    root.set_defaults(run=partial(_no_verb, root))
    return root


def _verb(name: str) -> Any:
    try:
        return importlib.import_module(f"lab.cli.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"lab.cli.{name}":
            raise
        return None


def _no_verb(root: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    args.output.say(root.format_help().rstrip())
    return EXIT_BROKEN


def _settle(args: argparse.Namespace) -> None:
    """Fill in what was not given, and make the verb's Output."""
    defaults = {"json": False, "out": None, "quiet": 0, "verbose": 0, "no_color": False, "no_progress": False}
    for name, value in {**defaults, "timeout": None}.items():
        if not hasattr(args, name):
            setattr(args, name, value)
    word = getattr(args, "stack_name", None)
    args.stack = word or getattr(args, "stack", None) or DEFAULT_STACK
    args.output = Output(
        command=args.verb or "slipway",
        json=args.json,
        quiet=args.quiet,
        verbose=args.verbose,
        color=False if args.no_color else None,
        progress=False if args.no_progress or args.json else None,
        out=args.out,
    )


def _fail(output: Output, error: LabError) -> int:
    if output.verbose and error.code != "interrupted":
        traceback.print_exc(file=output.stderr)
    output.fail(error)
    return error.exit_code


def _internal(error: Exception) -> LabError:
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return LabError(
            "no space left on the disk",
            cause=str(error),
            hint="free some space, or move the state with SLIPWAY_HOME; what was written before is kept",
            code="no-space",
        )
    return LabError(
        f"slipway itself failed: {type(error).__name__}",
        cause=str(error) or None,
        hint="run the same command with -v for the traceback",
        code="internal",
    )


class _RootFormatter(Formatter):
    """The verbs of the root's help, by group."""

    def _iter_indented_subactions(self, action: argparse.Action) -> Any:
        choices = list(super()._iter_indented_subactions(action))
        if action.dest != "verb":
            yield from choices
            return
        by_name = {choice.dest: choice for choice in choices}
        for group, names in GROUPS.items():
            present = [by_name[name] for name in names if name in by_name]
            if present:
                yield argparse.Action([], dest=group, metavar=f"{group}:", help="")
                yield from present
