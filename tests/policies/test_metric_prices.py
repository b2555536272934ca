"""Custom metrics in the estimate: each once, by whoever names it first; an unknown dashboard is no free one."""

from __future__ import annotations

import json
from typing import Any

from policies.graph import Graph, Node
from policies.pricing import estimate, metrics, table
from policies.reader import UNKNOWN

PRICES = table.load()


def node(type_: str, name: str, **props: Any) -> Node:
    """A node without relations."""
    return Node(type_, f"urn:pulumi:s::p::{type_}::{name}", name, props)


def dashboard(name: str, *lines: list[Any]) -> Node:
    """A dashboard with one picture."""
    body = {"widgets": [{"type": "text", "properties": {}}, {"properties": {"metrics": list(lines)}}]}
    return node(metrics.DASHBOARD, name, dashboardBody=json.dumps(body))


def alarm(name: str, namespace: str, metric: str, **dimensions: str) -> Node:
    """An alarm on one metric."""
    return node(metrics.ALARM, name, namespace=namespace, metricName=metric, dimensions=dimensions)


def policy(name: str, metric: str, **dimensions: str) -> Node:
    """Target tracking of one metric."""
    custom = {
        "namespace": "Own",
        "metricName": metric,
        "dimensions": [{"name": key, "value": value} for key, value in dimensions.items()],
    }
    tracking = {"customizedMetricSpecification": custom}
    return node(metrics.SCALING, name, targetTrackingScalingPolicyConfiguration=tracking)


def test_a_metric_is_billed_once_whoever_names_it() -> None:
    """Two on the dashboard, one more on an alarm, one more on a policy; AWS's own and repeated ones are free."""
    graph = Graph(
        [
            policy("scale", "Open", Stack="dev", Service="b"),
            policy("again", "Open", Service="a", Stack="dev"),
            alarm("late", "Own", "Late", Stack="dev"),
            alarm("cpu", "AWS/ElastiCache", "EngineCPUUtilization"),
            dashboard(
                "one",
                ["Own", "Open", "Stack", "dev", "Service", "a", {"stat": "p50"}],
                ["...", {"stat": "p99"}],
                [".", "Sent", ".", ".", ".", "."],
                ["AWS/ApplicationELB", "RequestCount"],
                [{"expression": "SEARCH('{Own,Stack} x', 'Sum', 60)"}],
            ),
        ]
    )
    result = estimate.estimate(graph, PRICES, {})
    counted = {item.label: item.quantity for item in result.items if item.price.id == "metric.custom"}
    assert counted == {"dashboard one": 2, "metric alarm late": 1, "policy scale": 1}
    assert result.unpriced == []
    assert round(result.baseline, 2) == round(4 * 0.30 + 2 * 0.10 + 3.0, 2)


def test_a_dashboard_that_is_not_known_yet_is_listed() -> None:
    """Nothing unknown is counted as zero: a body from an output, or one that is no dashboard, has no price."""
    graph = Graph(
        [
            node(metrics.DASHBOARD, "later", dashboardBody=UNKNOWN),
            node(metrics.DASHBOARD, "odd", dashboardBody="[]"),
        ]
    )
    result = estimate.estimate(graph, PRICES, {})
    assert [each.label for each in result.unpriced] == ["dashboard later", "dashboard odd"]
