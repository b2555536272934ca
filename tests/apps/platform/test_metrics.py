"""Metrics: the lines CloudWatch turns into the numbers that the autoscaling reads."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from apps.platform import log as logs
from apps.platform.metrics import Metrics
from apps.platform.settings import ServiceSettings


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings() -> ServiceSettings:
    """Who reports."""
    return ServiceSettings(stack="dev", service="websocket")


@pytest.fixture
def _json_logs() -> object:
    """The process's real log set-up at its quietest, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(level="error", stack="dev", service="websocket")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_counters_are_growth_per_second(settings: ServiceSettings) -> None:
    """A counter reports what was added per second since the last sample, a level what it is now."""
    clock, total = Clock(), 1000
    metrics = Metrics(
        settings, levels={"Connections": lambda: 7}, counters={"Messages": lambda: total}, clock=clock
    )
    clock.now += 10
    total = 1250
    assert metrics.sample() == {"Connections": 7.0, "Messages": 25.0}
    clock.now += 10
    assert metrics.sample() == {"Connections": 7.0, "Messages": 0.0}


def test_no_time_no_rate(settings: ServiceSettings) -> None:
    """Two samples at one instant say nothing of a rate, and lose nothing of the count."""
    clock, total = Clock(), 5
    metrics = Metrics(settings, counters={"Messages": lambda: total}, clock=clock)
    total = 25
    assert metrics.sample() == {}
    clock.now += 4
    assert metrics.sample() == {"Messages": 5.0}


@pytest.mark.usefixtures("_json_logs")
def test_line_is_embedded_metric_format(
    settings: ServiceSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each metric and dimension named in `_aws` is a field of the line, even when the log is at errors only."""
    logs.configure(level="error", stack="dev", service="websocket")
    clock = Clock()
    metrics = Metrics(
        settings, levels={"Connections": lambda: 3}, counters={"Messages": lambda: 0}, clock=clock
    )
    clock.now += 60
    metrics.report()
    line = json.loads(capsys.readouterr().out)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Slipway"
    assert directive["Dimensions"] == [["Stack", "Service"]]
    assert (line["Stack"], line["Service"]) == ("dev", "websocket")
    units = {each["Name"]: each["Unit"] for each in directive["Metrics"]}
    assert units == {"Connections": "Count", "Messages": "Count/Second"}
    assert all(isinstance(line[name], float) for name in units)
    assert isinstance(line["_aws"]["Timestamp"], int)


@pytest.mark.usefixtures("_json_logs")
async def test_last_values_are_reported_at_the_end(
    settings: ServiceSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stopping process writes what it counted since its last line."""
    logs.configure(level="info", stack="dev", service="websocket")
    metrics = Metrics(settings, levels={"Connections": lambda: 2}, period_seconds=60)
    stop = asyncio.Event()
    running = asyncio.create_task(metrics.run(stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(running, 1)
    assert json.loads(capsys.readouterr().out)["Connections"] == 2.0
