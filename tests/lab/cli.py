"""Runs the command line as a person does, and takes out of its words what differs from run to run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small")
FILTERS = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT"),
    (r"\bpid \d+", "pid PID"),
    (r"process \d+", "process PID"),
    (r"\+\d+\.\d s", "+T s"),
    (r"\d+\.?\d* s\b", "T s"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
    (r"[ \t]+$", ""),
)


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    stdout: str
    stderr: str

    def shown(self) -> str:
        """All three, as a golden test compares them."""
        return f"--- code {self.code}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"


@dataclass(frozen=True)
class Cli:
    """`slipway` in a project with a state folder of its own."""

    root: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the caller's own stack."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        kept["PYTHONPATH"] = str(
            REPOSITORY
        )  # this checkout's lab, wherever the environment was installed from
        return {**kept, "SLIPWAY_HOME": str(self.home), "COLUMNS": "100", "NO_COLOR": "1", **more}

    def command(self, *words: str) -> list[str]:
        """The words to start."""
        return [sys.executable, "-m", "lab.cli", *words]

    def __call__(self, *words: str, **more: str) -> Ran:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        return Ran(done.returncode, self.filtered(done.stdout), self.filtered(done.stderr))

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start it and go on."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def filtered(self, text: str) -> str:
        """Without paths, ports, times and ids."""
        text = text.replace(str(self.home), "HOME").replace(str(self.root), "ROOT")
        for pattern, word in FILTERS:
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        return text


def small(folder: Path) -> Cli:
    """A copy of the small stack, so that a test may break it."""
    root = folder / "project"
    shutil.copytree(SMALL, root, ignore=shutil.ignore_patterns("__pycache__"))
    return Cli(root, folder / "home")
