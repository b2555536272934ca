"""One CloudWatch dashboard: each metric of the catalogue, the load balancer and Valkey beside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pulumi_aws as aws

from apps.contracts import metrics
from apps.contracts.metrics import DIMENSIONS, NAMESPACE, SERVICES, STATISTIC, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apps.contracts.metrics import Metric
    from components.base import Component, Context

_COLUMNS: Final = 24
_WIDTH: Final = 6
_HEIGHT: Final = 6
_PERIOD: Final = 60

#: What belongs into one picture, per service; whatever the catalogue has beside gets pictures of its own.
GROUPS: Final[dict[str, tuple[tuple[str, tuple[Metric, ...]], ...]]] = {
    "websocket": (
        ("Connections per task", (metrics.CONNECTIONS,)),
        ("Event to delivery", (metrics.DELIVERY,)),
        ("Publish to receipt", (metrics.BUS_LAG,)),
        ("Messages in and out", (metrics.INCOMING, metrics.OUTGOING, metrics.DELIVERED, metrics.NOTIFIED)),
        ("Slow clients", (metrics.SKIPPED, metrics.STALLED, metrics.OVERFLOWS, metrics.DEFERRED)),
        ("Resync and reconnect", (metrics.RESYNCS, metrics.RECOVERED, metrics.NOT_RECOVERED)),
        ("Left out", (metrics.DROPPED, metrics.FOREIGN, metrics.CONFLATED, metrics.MESSAGES_LOST)),
        ("Fan-out", (metrics.FAN_OUT, metrics.FRAMES_PER_MESSAGE)),
        ("Snapshots", (metrics.SNAPSHOTS, metrics.SNAPSHOT_FAILURES)),
    ),
    "filter-processor": (
        ("Updates", (metrics.PROCESSED, metrics.PUBLISHES)),
        ("Affected per update", (metrics.AFFECTED,)),
        ("Behind the stream", (metrics.STREAM_LAG,)),
        ("Out of order", (metrics.GAPS, metrics.DUPLICATES, metrics.STALE, metrics.DROPPED)),
        ("Known", (metrics.ENTITIES, metrics.VIEWPORTS, metrics.SHARDS)),
    ),
    "api": (
        ("Requests", (metrics.REQUESTS, metrics.ERRORS)),
        ("Outbox", (metrics.OUTBOX_AGE, metrics.OUTBOX_ROWS)),
    ),
}
_BALANCER: Final = (
    ("Balancer: connections", "ActiveConnectionCount", "Sum"),
    ("Balancer: requests", "RequestCount", "Sum"),
    ("Balancer: answer time p99", "TargetResponseTime", "p99"),
    ("Balancer: own errors", "HTTPCode_ELB_5XX_Count", "Sum"),
)
_CACHE: Final = (
    ("Valkey: engine CPU", "EngineCPUUtilization"),
    ("Valkey: memory", "DatabaseMemoryUsagePercentage"),
    ("Valkey: connections", "CurrConnections"),
    ("Valkey: bytes out", "NetworkBytesOut"),
)


def make(owner: Component, *, balancer_name: str, cache_nodes: Sequence[str]) -> aws.cloudwatch.Dashboard:
    """The dashboard; its body is a literal, so that what it shows and costs is known at preview."""
    name = owner.ctx.name(owner.name, limit=255)
    return aws.cloudwatch.Dashboard(
        owner.name,
        dashboard_name=name,
        dashboard_body=body(owner.ctx, balancer_name=balancer_name, cache_nodes=cache_nodes),
        opts=owner.child(),
    )


def body(ctx: Context, *, balancer_name: str, cache_nodes: Sequence[str]) -> str:
    """The body as CloudWatch takes it.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    rows = [(service, list(_service(ctx, service))) for service in SERVICES]
    rows.append(("load balancer and Valkey", [*_balancer(ctx, balancer_name), *_cache(ctx, cache_nodes)]))
    widgets: list[dict[str, Any]] = []
    top = 0
    for title, graphs in rows:
        text = {"markdown": f"## {title}"}
        widgets.append({"type": "text", "x": 0, "y": top, "width": _COLUMNS, "height": 1, "properties": text})
        top += 1
        each_row = _COLUMNS // _WIDTH
        for place, properties in enumerate(graphs):
            where = {"x": place % each_row * _WIDTH, "y": top + place // each_row * _HEIGHT}
            size = {"width": _WIDTH, "height": _HEIGHT}
            widgets.append({"type": "metric", **where, **size, "properties": properties})
        top += -(-len(graphs) // each_row) * _HEIGHT
    return json.dumps({"widgets": widgets})


def _service(ctx: Context, service: str) -> Iterator[dict[str, Any]]:
    groups = GROUPS.get(service, ())
    grouped = {metric for _, members in groups for metric in members}
    alone = [(metric.name, (metric,)) for metric in SERVICES[service] if metric not in grouped]
    dimensions = [part for pair in zip(DIMENSIONS, (ctx.stack, service), strict=True) for part in pair]
    for title, members in (*groups, *alone):
        lines = [
            [NAMESPACE, metric.name, *dimensions, {"stat": stat, "label": f"{metric.name} {label}".rstrip()}]
            for metric in members
            for stat, label in _lines(metric)
        ]
        yield _graph(ctx, title, lines)


def _lines(metric: Metric) -> tuple[tuple[str, str], ...]:
    if metric.kind is Kind.VALUES:
        return (("p50", "p50"), ("p99", "p99"))
    return ((STATISTIC[metric.kind], ""),)


def _balancer(ctx: Context, balancer_name: str) -> Iterator[dict[str, Any]]:
    """Searched for by name: the balancer's dimension ends in an id that exists only after the deploy.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    """
    for title, metric, statistic in _BALANCER:
        search = (
            f"SEARCH('{{AWS/ApplicationELB,LoadBalancer}} LoadBalancer=app/{balancer_name}/ "
            f"MetricName=\"{metric}\"', '{statistic}', {_PERIOD})"
        )
        yield _graph(ctx, title, [[{"expression": search, "id": "e1", "label": metric}]])


def _cache(ctx: Context, nodes: Sequence[str]) -> Iterator[dict[str, Any]]:
    for title, metric in _CACHE:
        lines = [["AWS/ElastiCache", metric, "CacheClusterId", node, {"stat": "Maximum"}] for node in nodes]
        yield _graph(ctx, title, lines)


def _graph(ctx: Context, title: str, lines: list[list[Any]]) -> dict[str, Any]:
    return {
        "title": title,
        "region": ctx.region,
        "view": "timeSeries",
        "stacked": False,
        "period": _PERIOD,
        "metrics": lines,
        "yAxis": {"left": {"min": 0}},
    }
