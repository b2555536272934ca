"""How many tasks each service has: the stack's availability sets the range, the config sets the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apps.contracts import metrics
from components.service.config import MetricTarget, ServiceConfig

if TYPE_CHECKING:
    from components.base import Availability, Context
    from components.realtime.config import (
        ApiConfig,
        FilterProcessorConfig,
        RealtimeConfig,
        ScaledConfig,
        WebsocketConfig,
    )

#: fewest and most tasks of a service; two from the start where one zone may fail
RANGE: Final[dict[Availability, tuple[int, int]]] = {"pilot": (1, 2), "ha": (2, 8)}


def api(config: ApiConfig, tier: RealtimeConfig, ctx: Context) -> ServiceConfig:
    """CPU, and requests per task: whichever asks for more tasks wins."""
    return _service(config, tier, ctx, requests_per_minute=config.requests_per_minute)


def websocket(config: WebsocketConfig, tier: RealtimeConfig, ctx: Context) -> ServiceConfig:
    """CPU, open connections and outgoing messages, the last two as the gateway reports them."""
    return _service(
        config,
        tier,
        ctx,
        metrics=(
            _target(metrics.CONNECTIONS, config.connections_per_task),
            _target(metrics.OUTGOING, config.messages_per_second),
        ),
    )


def filter_processor(config: FilterProcessorConfig, tier: RealtimeConfig, ctx: Context) -> ServiceConfig:
    """CPU, and processed updates as the processor reports them."""
    return _service(
        config,
        tier,
        ctx,
        metrics=(_target(metrics.PROCESSED, config.updates_per_second),),
    )


def _target(metric: metrics.Metric, target: float) -> MetricTarget:
    return MetricTarget(name=metric.name, target=target, namespace=metrics.NAMESPACE)


def _service(
    config: ScaledConfig,
    tier: RealtimeConfig,
    ctx: Context,
    *,
    requests_per_minute: int | None = None,
    metrics: tuple[MetricTarget, ...] = (),
) -> ServiceConfig:
    low, high = RANGE[ctx.availability]
    fewest = config.min if config.min is not None else min(low, config.max or low)
    most = config.max if config.max is not None else max(high, fewest)
    return ServiceConfig(
        cpu=config.cpu,
        memory=config.memory,
        min_tasks=fewest,
        max_tasks=most,
        cpu_percent=config.cpu_percent,
        requests_per_minute=requests_per_minute,
        metrics=metrics,
        log_retention_days=tier.log_retention_days,
    )
