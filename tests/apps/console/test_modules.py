"""The page's pure modules, run by Node's own test runner."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from apps.console.node import find_node

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_module(name: str) -> None:
    """Every test in the file passes, and there is at least one."""
    node = find_node()
    done = subprocess.run(
        [node.node, "--test", "--test-reporter=tap", str(HERE / name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"^# pass (\d+)$", done.stdout, re.MULTILINE)[0]) > 0
