"""Custom metrics: billed each by the month, known by the dashboards, alarms and policies that name them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from policies.graph import Graph, Node
from policies.reader import UndecidedError

DASHBOARD: Final = "aws:cloudwatch/dashboard:Dashboard"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
SCALING: Final = "aws:appautoscaling/policy:Policy"
#: Namespace, name, and dimensions in order of their names: one metric for AWS's bill.
Metric = tuple[str, str, tuple[tuple[str, str], ...]]
_ANYTHING_BEFORE: Final = "..."
_NAMED: Final[WeakKeyDictionary[Node, frozenset[Metric]]] = WeakKeyDictionary()


def first_named_by(graph: Graph, node: Node) -> set[Metric]:
    """The custom metrics that `node` names and no dashboard, and nothing of its kind, before it.

    Dashboards come first, as they name most; so each metric is on one resource's bill.
    """
    seen: set[Metric] = set()
    for type_ in (DASHBOARD, ALARM, SCALING):
        for other in graph.of_type(type_):
            if other is node:
                return set(_named(node)) - seen
            seen.update(_named(other))
    return set()


def _named(node: Node) -> frozenset[Metric]:
    """What a resource names, read once: every later resource asks for those of all before it."""
    if node not in _NAMED:
        found = {DASHBOARD: _of_dashboard, ALARM: _of_alarm, SCALING: _of_policy}[node.type](node)
        # AWS's own namespaces cost nothing
        _NAMED[node] = frozenset(metric for metric in found if not metric[0].startswith("AWS/"))
    return _NAMED[node]


def _of_dashboard(node: Node) -> Iterator[Metric]:
    body = node.known("dashboardBody")
    try:
        widgets = cast("list[Any]", json.loads(body)["widgets"])
        for widget in widgets:
            before: list[Any] = []
            for line in widget.get("properties", {}).get("metrics", []):
                texts = _spelled_out([part for part in line if isinstance(part, str)], before)
                if len(texts) >= 2:  # else an expression: it reads what is named elsewhere
                    yield texts[0], texts[1], _sorted(zip(texts[2::2], texts[3::2], strict=False))
                before = texts or before
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UndecidedError("dashboardBody") from error


def _spelled_out(texts: list[str], before: list[str]) -> list[str]:
    """`.` repeats the place of the line before, `...` all that is not given."""
    if _ANYTHING_BEFORE in texts:
        place = texts.index(_ANYTHING_BEFORE)
        rest = texts[place + 1 :]
        texts = [*texts[:place], *before[place : len(before) - len(rest)], *rest]
    return [
        before[place] if text == "." and place < len(before) else text for place, text in enumerate(texts)
    ]


def _of_alarm(node: Node) -> Iterator[Metric]:
    namespace = node.known("namespace", "")
    if namespace and not str(namespace).startswith("AWS/"):
        dimensions = cast("dict[str, str]", node.known("dimensions", {}))
        yield str(namespace), str(node.known("metricName")), _sorted(dimensions.items())


def _of_policy(node: Node) -> Iterator[Metric]:
    path = "targetTrackingScalingPolicyConfiguration.customizedMetricSpecification"
    if not node.given(path):
        return
    dimensions = [
        (str(each.known("name")), str(each.known("value"))) for each in node.blocks(f"{path}.dimensions")
    ]
    yield str(node.known(f"{path}.namespace")), str(node.known(f"{path}.metricName")), _sorted(dimensions)


def _sorted(dimensions: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in dimensions))
