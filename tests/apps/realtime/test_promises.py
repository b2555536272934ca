"""The guide of faults names tests that exist."""

from __future__ import annotations

import re

from tests.apps.realtime.live import ROOT


def test_the_guide_names_tests_that_exist():
    """Each promise of docs/guides/realtime-faults.md points at a test of that name in that file."""
    text = (ROOT / "docs/guides/realtime-faults.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) > 20
    for file, name in named:
        source = (ROOT / "tests/apps/realtime" / file).read_text()
        assert f"def {name}(" in source, f"{file}::{name}"
