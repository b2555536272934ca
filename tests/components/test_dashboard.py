"""The tier's dashboard and its alarms: from the catalogue, known at preview, wired to the topic."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.contracts import metrics
from apps.contracts.metrics import SERVICES, Kind
from components.realtime import reference
from components.realtime.config import ThresholdsConfig
from tests.components.support import MODES
from tests.components.test_realtime import DEV, PROD, build


def widgets(mode: str = "preview", ctx: Any = DEV) -> list[dict[str, Any]]:
    """What the dashboard shows."""
    return json.loads(build(ctx, mode).one("Dashboard").inputs["dashboardBody"])["widgets"]


def shown(listed: list[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Statistics by service and metric, of the tier's own metrics."""
    found: dict[tuple[str, str], set[str]] = {}
    for widget in listed:
        for line in widget["properties"].get("metrics", []):
            if line[0] == metrics.NAMESPACE:
                _, name, stack, value, service, owner, options = line
                assert (stack, value, service) == ("Stack", "dev", "Service")
                found.setdefault((owner, name), set()).add(options["stat"])
    return found


@pytest.mark.parametrize("mode", MODES)
def test_every_metric_of_the_catalogue_is_drawn(mode: str) -> None:
    """None is missing, none is invented; a distribution has its p50 and p99, a count its sum."""
    found = shown(widgets(mode))
    assert found.keys() == {
        (service, metric.name) for service, listed in SERVICES.items() for metric in listed
    }
    assert found["websocket", metrics.DELIVERY.name] == {"p50", "p99"}
    assert found["websocket", metrics.STALLED.name] == {"Sum"}
    assert found["api", metrics.OUTBOX_AGE.name] == {"Average"}


def test_the_body_is_the_same_before_and_after_the_deploy() -> None:
    """The body holds nothing that AWS names, so what is reviewed is what is deployed."""
    assert widgets("preview") == widgets("resolved")


def test_balancer_and_cache_stand_beside() -> None:
    """The balancer is searched for by its name, and each Valkey node is named; a replica adds its lines."""
    text = json.dumps(widgets())
    assert "LoadBalancer=app/slipway-dev-realtime/" in text
    lines = [line for widget in widgets(ctx=PROD) for line in widget["properties"].get("metrics", [])]
    nodes = {line[3] for line in lines if line[0] == "AWS/ElastiCache"}
    assert nodes == {"slipway-prod-cache-001", "slipway-prod-cache-002"}
    name = build().one("elasticache/replicationGroup:ReplicationGroup").inputs["replicationGroupId"]
    assert f"{name}-001" in text


def test_pictures_do_not_overlap() -> None:
    """Each place of the grid is used once, and nothing stands outside its 24 columns."""
    taken: set[tuple[int, int]] = set()
    for each in widgets():
        cells = {
            (x, y)
            for x in range(each["x"], each["x"] + each["width"])
            for y in range(each["y"], each["y"] + each["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_alarms_read_the_catalogue_and_reach_the_topic() -> None:
    """Each of the tier's own alarms is on a metric that its service reports, with its config's threshold."""
    limits = ThresholdsConfig(outbox_age_seconds=77)
    program = build(alarms={"outbox_age_seconds": 77})
    mine = {
        each.name: each.inputs
        for each in program.of("MetricAlarm")
        if each.inputs["namespace"] == metrics.NAMESPACE
    }
    assert {name: inputs["threshold"] for name, inputs in mine.items()} == {
        "delivery-late": limits.delivery_p99_milliseconds,
        "bus-late": limits.bus_lag_p99_milliseconds,
        "websocket-loop-late": limits.loop_lag_p99_milliseconds,
        "filter-processor-loop-late": limits.loop_lag_p99_milliseconds,
        "stream-behind": limits.stream_lag_milliseconds,
        "outbox-stuck": 77,
        "resync-storm": limits.resyncs_per_5_minutes,
    }
    for name, inputs in mine.items():
        service = inputs["dimensions"]["Service"]
        metric = next(each for each in SERVICES[service] if each.name == inputs["metricName"])
        assert inputs["dimensions"]["Stack"] == "dev"
        assert (inputs.get("extendedStatistic") == "p99") is (metric.kind is Kind.VALUES), name
        assert ("statistic" in inputs) is (metric.kind is not Kind.VALUES), name
    for each in program.of("MetricAlarm"):
        assert any("sns/topic:Topic" in urn for urn in each.depends("alarmActions")), each.name


def test_the_page_of_metrics_is_current() -> None:
    """The table that operators read is of this catalogue: `make schema` was run."""
    page = reference.PATH.read_text(encoding="utf-8")
    assert page == reference.rendered()
    for listed in SERVICES.values():
        assert all(f"`{metric.name}`" in page for metric in listed)


def test_every_alarm_has_its_page() -> None:
    """Whoever is woken finds a section of the alarm's name in the guide that the alarm points to."""
    guide = (reference.PATH.parents[1] / "guides" / "realtime-operations.md").read_text(encoding="utf-8")
    for each in build().of("MetricAlarm"):
        if each.inputs["namespace"] == metrics.NAMESPACE:
            assert "docs/guides/realtime-operations.md" in each.inputs["alarmDescription"]
            assert f"### {each.name}\n" in guide
