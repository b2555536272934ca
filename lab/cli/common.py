"""What every verb shares: the parser with the common flags, and where the project is."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

from lab.errors import LabError

DEFAULT_STACK = "local"


class UsageError(LabError):
    """A command line that cannot be understood."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint=hint, code="usage")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as written: examples keep their lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, _columns()))


class VerbParser(argparse.ArgumentParser):
    """A parser with the common flags and `examples` before them; it raises instead of exiting."""

    def __init__(self, *, examples: str = "", common: bool = True, **options: Any) -> None:
        options.setdefault("formatter_class", Formatter)
        options.setdefault("allow_abbrev", False)
        description = options.get("description") or options.get("help") or ""
        if examples:
            lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
            options["description"] = f"{description}\n\nexamples:\n{lines}"
        super().__init__(**options)
        if common:
            common_flags(self)

    def error(self, message: str) -> NoReturn:
        """What argparse would exit with, as an error with a hint."""
        raise UsageError(message, hint=f"{self.prog} --help")


def common_flags(parser: argparse.ArgumentParser) -> None:
    """The same flags everywhere."""
    # SUPPRESS: a flag may stand before or after the verb, and the one that is absent must not reset the other
    absent: Any = argparse.SUPPRESS
    flags = parser.add_argument_group("common flags")
    flags.add_argument("-s", "--stack", default=absent, help=f"which stack (default: {DEFAULT_STACK})")
    flags.add_argument("--json", action="store_true", default=absent, help="one JSON document on stdout")
    flags.add_argument("--out", type=Path, default=absent, metavar="FILE", help="write the result to FILE")
    flags.add_argument("-q", "--quiet", action="count", default=absent, help="less talk; -qq: errors only")
    flags.add_argument("-v", "--verbose", action="count", default=absent, help="more talk, tracebacks")
    flags.add_argument("--no-color", action="store_true", default=absent, help="no colours (also: NO_COLOR)")
    flags.add_argument("--no-progress", action="store_true", default=absent, help="plain lines, no live rows")
    flags.add_argument(
        "--timeout", type=seconds, default=absent, metavar="SECONDS", help="give up after this"
    )


def stack_argument(parser: argparse.ArgumentParser) -> None:
    """Let a verb take its stack as a word: `slipway check dev` is `slipway check --stack dev`."""
    parser.add_argument("stack_name", nargs="?", metavar="STACK", help="which stack")


def seconds(text: str) -> float:
    """A positive number of seconds: `30`, `1.5`, `2m`."""
    factor = 60.0 if text.endswith("m") else 1.0
    try:
        value = float(text.removesuffix("m").removesuffix("s")) * factor
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above zero, such as 30 or 2m")
    return value


def project_root(start: Path | None = None) -> Path:
    """The folder with Pulumi.yaml: the nearest one upwards from here."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "Pulumi.yaml").is_file():
            return folder
    raise LabError(
        f"{here} is in no Slipway project",
        cause="there is no Pulumi.yaml here or in a folder above",
        hint="cd into the project's folder",
        code="no-project",
    )


def stack_names(root: Path) -> list[str]:
    """The stacks that have a file in `root`."""
    return sorted(
        path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml")
    )


def known_stack(root: Path, stack: str) -> str:
    """`stack` if it has a file, else an error that lists those that have one."""
    names = stack_names(root)
    if stack not in names:
        raise LabError(
            f"stack {stack!r} is unknown",
            cause=f"there is no Pulumi.{stack}.yaml in {root}",
            hint=f"choose one of: {', '.join(names) or '(no stack file exists)'}",
            code="unknown-stack",
        )
    return stack


def _columns() -> int:
    try:
        return int(os.environ.get("COLUMNS", "100")) - 2
    except ValueError:
        return 98
