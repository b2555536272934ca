"""The JavaScript client: its tests under Node, and its types under TypeScript's strictest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from apps.console import build
from apps.console.node import find_node

HERE = Path(__file__).parent
PACKAGE = build.CLIENT


def run(*words: str) -> str:
    """Run Node; what it said, or a failure with it."""
    done = subprocess.run(
        [find_node().node, *words], capture_output=True, text=True, timeout=150, check=False, cwd=PACKAGE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_module(name: str) -> None:
    """Every test in the file passes, and there is at least one."""
    said = run("--test", "--test-reporter=tap", str(HERE / name))
    assert int(re.findall(r"^# pass (\d+)$", said, re.MULTILINE)[0]) > 0


def test_types_hold_and_the_declarations_are_theirs(tmp_path: Path) -> None:
    """`tsc --strict` finds nothing in the sources, and types/ is what it makes of them."""
    build.build()
    tsc = build.FOLDER / "node_modules" / "typescript" / "lib" / "tsc.js"
    run(str(tsc), "--project", str(PACKAGE), "--outDir", str(tmp_path))
    made = {path.name: path.read_text() for path in tmp_path.glob("*.d.ts")}
    kept = {path.name: path.read_text() for path in (PACKAGE / "types").glob("*.d.ts")}
    assert made == kept, "hint: apps/console/node_modules/.bin/tsc -p apps/client/js"
