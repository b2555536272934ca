"""What the intake does beside messages."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from apps.filter_processor import intake
from apps.filter_processor.intake import Intake
from apps.filter_processor.matcher import Matcher


async def test_sweeping_leaves_no_task_behind(monkeypatch: pytest.MonkeyPatch):
    """A processor runs for months and sweeps each second."""
    monkeypatch.setattr(intake, "SWEEP_SECONDS", 0.001)
    nothing = cast("Any", None)
    subject = Intake(nothing, Matcher(), nothing)
    stop = asyncio.Event()
    running = asyncio.create_task(subject.run(stop))
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) <= 4
    stop.set()
    await running
