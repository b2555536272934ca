"""Metrics as log lines in CloudWatch's embedded format: no agent, no permission, no connection of their own.

CloudWatch Logs turns such a line into metrics by itself; the autoscaling of a stack reads them by the same
namespace, names and dimensions. One line a minute is also what an operator reads in the log.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apps.platform.settings import ServiceSettings

NAMESPACE: Final = "Slipway"
#: CloudWatch keeps standard metrics at one value a minute.
PERIOD_SECONDS: Final = 60.0

log = Log("slipway.metrics")


class Metrics:
    """A service that reports levels as they are, and counters as their growth per second."""

    name = "metrics"

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        levels: Mapping[str, Callable[[], float]] | None = None,
        counters: Mapping[str, Callable[[], int]] | None = None,
        period_seconds: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dimensions = {"Stack": settings.stack, "Service": settings.service}
        self._levels = dict(levels or {})
        self._counters = dict(counters or {})
        self._period = period_seconds
        self._clock = clock
        self._since = clock()
        self._last = {name: read() for name, read in self._counters.items()}
        # the scaler depends on these lines: LOG_LEVEL=warning must not silence them
        logging.getLogger("slipway.metrics").setLevel(logging.INFO)

    async def run(self, stop: asyncio.Event) -> None:
        """Report each period, and once more at the end, so that nothing counted is left out."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._period)
            self.report()

    def report(self) -> None:
        """Write one line with the values since the last one."""
        values = self.sample()
        if values:
            log.info("metrics.sample", **_embedded(self._dimensions, values, set(self._counters)))

    def sample(self) -> dict[str, float]:
        """Levels now, and per counter its growth per second since the last sample."""
        now = self._clock()
        seconds, self._since = now - self._since, now
        values = {name: float(read()) for name, read in self._levels.items()}
        if seconds > 0:  # else the growth stays for the next sample
            for name, read in self._counters.items():
                count = read()
                values[name] = round((count - self._last[name]) / seconds, 3)
                self._last[name] = count
        return values


def _embedded(dimensions: Mapping[str, str], values: Mapping[str, float], rates: set[str]) -> dict[str, Any]:
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [list(dimensions)],
                    "Metrics": [
                        {"Name": name, "Unit": "Count/Second" if name in rates else "Count"}
                        for name in values
                    ],
                }
            ],
        },
        **dimensions,
        **values,
    }
