"""What must wake somebody: the tier's own figures against the thresholds of its config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.contracts import metrics
from apps.contracts.metrics import DIMENSIONS, NAMESPACE, STATISTIC, Kind

if TYPE_CHECKING:
    from apps.contracts.metrics import Metric
    from components.base import Component
    from components.data.alarms import AlarmTopic
    from components.realtime.config import ThresholdsConfig

#: What to do is in docs/guides/realtime-operations.md, under the alarm's name.
_GUIDE = "see docs/guides/realtime-operations.md"


def make(owner: Component, topic: AlarmTopic, limits: ThresholdsConfig) -> None:
    """One alarm per way in which users of the map are served late or wrong."""
    for service, name, metric, threshold, what in (
        (
            "websocket",
            "delivery-late",
            metrics.DELIVERY,
            limits.delivery_p99_milliseconds,
            "One change in a hundred reaches its users late",
        ),
        (
            "websocket",
            "bus-late",
            metrics.BUS_LAG,
            limits.bus_lag_p99_milliseconds,
            "What processors publish reaches the gateways late",
        ),
        (
            "websocket",
            "websocket-loop-late",
            metrics.LOOP_LAG,
            limits.loop_lag_p99_milliseconds,
            "The gateway's event loop is overloaded or blocked",
        ),
        (
            "filter-processor",
            "filter-processor-loop-late",
            metrics.LOOP_LAG,
            limits.loop_lag_p99_milliseconds,
            "The processor's event loop is overloaded or blocked",
        ),
        (
            "filter-processor",
            "stream-behind",
            metrics.STREAM_LAG,
            limits.stream_lag_milliseconds,
            "The processor does not keep up with the stream of changes",
        ),
        (
            "api",
            "outbox-stuck",
            metrics.OUTBOX_AGE,
            limits.outbox_age_seconds,
            "Acknowledged changes do not leave the outbox: Valkey is away or the relay stands",
        ),
        (
            "websocket",
            "resync-storm",
            metrics.RESYNCS,
            limits.resyncs_per_5_minutes,
            "Many clients are told to load everything again",
        ),
    ):
        _alarm(owner, topic, service, name, metric, threshold, what)


def _alarm(
    owner: Component, topic: AlarmTopic, service: str, name: str, metric: Metric, threshold: float, what: str
) -> None:
    lasting = metric.kind in {Kind.VALUES, Kind.LEVEL}
    topic.alarm(
        owner,
        name,
        f"{what}: {_GUIDE}",
        metric=(NAMESPACE, metric.name),
        dimensions=dict(zip(DIMENSIONS, (owner.ctx.stack, service), strict=True)),
        threshold=threshold,
        # of several tasks the worst counts, as far as percentiles do not say it already
        statistic="Maximum" if metric.kind is Kind.LEVEL else STATISTIC[metric.kind],
        period_seconds=60 if lasting else 300,
        periods=3 if lasting else 1,
        # no change, no figure: a quiet night is no alarm
        missing="notBreaching",
    )
