"""The bill of a stack as it was at another commit: this pack's prices on that commit's program.

Run as a program of its own (`python -m lab.cost.at ROOT STACK`), because this process has already imported
the components of the working tree.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lab.errors import LabError

_HERE: Final = Path(__file__).parents[2]
_SECONDS: Final = 300


@dataclass(frozen=True)
class Priced:
    """What one resource costs in a month, by URN."""

    urn: str
    label: str
    usd: float
    exposure: float


def bill_at(root: Path, stack: str, ref: str, prices: Path | None = None) -> list[Priced]:
    """Every billed resource of `stack` at a git ref."""
    with _tree(root, ref) as folder:
        if not (folder / f"Pulumi.{stack}.yaml").is_file():
            raise LabError(
                f"{ref} has no stack {stack!r}",
                cause=f"there is no Pulumi.{stack}.yaml at that commit",
                hint="compare with a later commit",
                code="no-stack",
            )
        words = [
            sys.executable,
            "-m",
            "lab.cost.at",
            str(folder),
            stack,
            *([str(prices.resolve())] if prices else []),
        ]
        try:
            done = subprocess.run(
                words, cwd=_HERE, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(
                f"the program at {ref} did not compose within {_SECONDS} s", hint="try another ref"
            ) from error
        if done.returncode:
            raise LabError(
                f"the program at {ref} does not compose",
                cause=done.stderr.strip()[-2000:],
                hint="compare with a commit that composes",
                code="ref-synth",
            )
        return [Priced(**entry) for entry in json.loads(done.stdout)]


@contextmanager
def _tree(root: Path, ref: str) -> Generator[Path]:
    """The commit's files in a folder of their own; nothing is left in the repository, whatever happens."""
    try:
        inside = _git(root, "rev-parse", "--show-prefix").strip()
        commit = _git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        ).strip()
    except LabError as error:
        raise LabError(
            f"{ref!r} is no commit here",
            cause=error.cause,
            hint="name a branch, a tag or a commit; fetch it first in a shallow clone",
            code="no-ref",
        ) from error
    with tempfile.TemporaryDirectory(prefix="slipway-cost-") as folder:
        archive = Path(folder) / "tree.tar"
        _git(root, "archive", "--format=tar", f"--output={archive}", f"{commit}:{inside}")
        tree = Path(folder) / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(tree)], check=True)
        yield tree


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError("git cannot be run", cause=str(error), hint="install git", code="git") from error
    if done.returncode:
        raise LabError(f"git {words[0]} failed", cause=done.stderr.strip() or None, code="git")
    return done.stdout


def priced(found: Any) -> list[Priced]:
    """Each resource of a bill."""
    sums: dict[str, Priced] = {}
    for item in found.estimate.items:
        before = sums.get(item.urn, Priced(item.urn, item.label, 0.0, 0.0))
        sums[item.urn] = Priced(
            item.urn, item.label, before.usd + item.usd, before.exposure + item.ceiling_usd
        )
    return list(sums.values())


def main(words: list[str]) -> int:
    """Compose and price in this fresh process; JSON on stdout."""
    from lab.cost.bill import bill, price_table  # noqa: PLC0415  the parent has no use for it
    from lab.synth import synth  # noqa: PLC0415

    root, stack = Path(words[0]), words[1]
    prices = price_table(Path(words[2]) if len(words) > 2 else None)
    try:
        found = bill(synth(root, stack), prices)
    except LabError as error:
        sys.stderr.write("\n".join(filter(None, (error.message, error.cause))))
        return 1
    sys.stdout.write(json.dumps([asdict(each) for each in priced(found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
