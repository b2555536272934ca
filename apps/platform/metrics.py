"""Metrics as log lines in CloudWatch's embedded format: no agent, no permission, no connection of their own.

CloudWatch Logs turns such a line into metrics by itself; the autoscaling of a stack reads them by the same
namespace, names and dimensions (`apps.contracts.metrics`). One line a minute is also what an operator reads.
A distribution is written as at most 100 values with the same percentiles, the most that the format takes.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from apps.contracts import metrics as catalogue
from apps.contracts.metrics import Kind, Metric
from apps.platform import redis
from apps.platform.histogram import Histogram, Spread
from apps.platform.log import Log
from apps.platform.pacing import pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from apps.platform.settings import ServiceSettings

#: CloudWatch keeps standard metrics at one value a minute.
PERIOD_SECONDS: Final = 60.0
#: Embedded metric format: an array has at most so many values.
MOST_VALUES: Final = 100
_PROBE_SECONDS: Final = 0.1
_STATM: Final = Path("/proc/self/statm")

log = Log("slipway.metrics")


class CatalogueError(ValueError):
    """An app reports other metrics than the catalogue says it does."""


class Window:
    """What happened between two looks; every reader has one of its own."""

    def __init__(self, sources: Mapping[Metric, Any], clock: Callable[[], float]) -> None:
        self._sources = sources
        self._clock = clock
        self._since = clock()
        self._last: dict[Metric, Any] = {metric: _mark(source) for metric, source in sources.items()}

    def sample(self) -> dict[Metric, float | Spread]:
        """Return what can be said now; a figure that nothing happened to is left out."""
        now = self._clock()
        seconds = now - self._since
        if seconds <= 0:
            return {}  # what grew stays for the next sample
        self._since = now
        found: dict[Metric, float | Spread] = {}
        for metric, source in self._sources.items():
            before, mark = self._last[metric], _mark(source)
            self._last[metric] = mark
            value = _figure(metric.kind, before, mark, seconds)
            if value is not None:
                found[metric] = value
        return found


def _mark(source: Any) -> Any:
    if isinstance(source, Histogram):
        return list(source.counts)
    if isinstance(source, tuple):
        return source[0](), source[1]()
    return source()


def _figure(kind: Kind, before: Any, now: Any, seconds: float) -> float | Spread | None:
    if kind is Kind.LEVEL:
        return float(now)
    if kind is Kind.RATE:
        return round((now - before) / seconds, 3)
    if kind is Kind.COUNT:
        return float(now - before)
    if kind is Kind.RATIO:
        by = now[1] - before[1]
        return round((now[0] - before[0]) / by, 4) if by else None
    spread = Spread([new - old for new, old in zip(now, before, strict=True)])
    return spread if spread.total else None


class Metrics:
    """A service that writes a line each minute, and measures how late its own event loop is."""

    name = "metrics"

    def __init__(
        self,
        settings: ServiceSettings,
        wanted: Sequence[Metric],
        sources: Mapping[Metric, Any],
        *,
        ask: Iterable[Callable[[], Awaitable[None]]] = (),
        period_seconds: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wanted` is the app's part of the catalogue; `ask` runs before a line: what no counter holds."""
        self._lag = Histogram()
        self.sources = {**sources, **self._own()}
        _check(settings.service, (*wanted, *catalogue.PROCESS), self.sources)
        self._dimensions = dict(zip(catalogue.DIMENSIONS, (settings.stack, settings.service), strict=True))
        self._ask = tuple(ask)
        self._period = period_seconds
        self._clock = clock
        self._window = self.window()
        # the scaler depends on these lines: LOG_LEVEL=warning must not silence them
        logging.getLogger("slipway.metrics").setLevel(logging.INFO)

    def _own(self) -> dict[Metric, Any]:
        return {
            catalogue.LOOP_LAG: self._lag,
            catalogue.MEMORY: resident_bytes,
            catalogue.REDIS_OPERATIONS: redis.operations,
        }

    def window(self) -> Window:
        """Return a look at the figures that disturbs no other."""
        return Window(self.sources, self._clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Report each period, and once more at the end, so that nothing counted is left out."""
        probe = _LoopProbe(self._lag)
        try:
            while not stop.is_set():
                await pause(stop, self._period)
                await self.refresh()
                self.report()
        finally:
            probe.stop()

    async def refresh(self) -> None:
        """Ask for what no counter holds; who does not answer in time is asked the next time."""
        for question in self._ask:
            try:
                async with asyncio.timeout(2):
                    await question()
            except Exception as error:  # noqa: BLE001  # a figure is not worth a process
                log.debug("metrics.unanswered", error=f"{type(error).__name__}: {error}")

    def report(self) -> None:
        """Write one line with the values since the last one."""
        values = self._window.sample()
        if values:
            log.info("metrics.sample", **_embedded(self._dimensions, values))


class _LoopProbe:
    """Asks for a call ten times a second and notes how late it comes; no task, no timer but one."""

    def __init__(self, lag: Histogram) -> None:
        self._lag = lag
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _PROBE_SECONDS
        self._timer = self._loop.call_at(self._due, self._called)

    def _called(self) -> None:
        now = self._loop.time()
        self._lag.note((now - self._due) * 1000)
        self._due = now + _PROBE_SECONDS
        self._timer = self._loop.call_at(self._due, self._called)

    def stop(self) -> None:
        self._timer.cancel()


def resident_bytes() -> int:
    """Return the memory this process has in use now; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _check(service: str, wanted: Iterable[Metric], sources: Mapping[Metric, Any]) -> None:
    missing = {metric.name for metric in wanted} - {metric.name for metric in sources}
    stray = {metric.name for metric in sources} - {metric.name for metric in wanted}
    wrong = {
        metric.name
        for metric, source in sources.items()
        if (metric.kind is Kind.VALUES) is not isinstance(source, Histogram)
        or (metric.kind is Kind.RATIO) is not isinstance(source, tuple)
    }
    if missing or stray or wrong:
        raise CatalogueError(
            f"the metrics of {service} are not what the catalogue says: missing {sorted(missing)}, not in it "
            f"{sorted(stray)}, of another kind {sorted(wrong)}. hint: see apps/contracts/metrics.py"
        )


def _embedded(dimensions: Mapping[str, str], values: Mapping[Metric, float | Spread]) -> dict[str, Any]:
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": catalogue.NAMESPACE,
                    "Dimensions": [list(dimensions)],
                    "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
                }
            ],
        },
        **dimensions,
        **{
            metric.name: value.values(MOST_VALUES) if isinstance(value, Spread) else value
            for metric, value in values.items()
        },
    }
