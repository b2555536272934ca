"""The budget controls on whole programs: limits, dearest resources, ceilings, stale and missing prices."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pulumi_aws as aws
import pytest

from policies.controls import budget
from tests.policies.programs import unknown
from tests.policies.support import judge


def stack(limit: Any, *, notifications: bool = True, extra: bool = False) -> None:
    """A database, a NAT, a service that may grow to 10 tasks, and a budget."""
    emails = ["platform@example.com"]
    told = [
        {
            "comparison_operator": "GREATER_THAN",
            "notification_type": kind,
            "threshold": 100,
            "threshold_type": "PERCENTAGE",
            "subscriber_email_addresses": emails,
        }
        for kind in ("ACTUAL", "FORECASTED")
    ]
    if limit is not None:
        aws.budgets.Budget(
            "monthly",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=limit,
            limit_unit="USD",
            notifications=told if notifications else told[:1],
        )
    aws.rds.Instance(
        "db", engine="postgres", instance_class="db.r6g.large", multi_az=True, allocated_storage=100
    )
    for zone in "ab":
        aws.ec2.NatGateway(f"nat-{zone}", subnet_id="subnet-1")
    task = aws.ecs.TaskDefinition(
        "task",
        family="api",
        container_definitions="[]",
        cpu="512",
        memory="1024",
        runtime_platform={"cpu_architecture": "ARM64"},
    )
    service = aws.ecs.Service(
        "api", name="api", launch_type="FARGATE", desired_count=2, task_definition=task.arn
    )
    aws.appautoscaling.Target(
        "api",
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id="service/cluster/api",
        min_capacity=2,
        max_capacity=10,
    )
    del service
    if extra:
        aws.msk.Cluster(
            "kafka",
            kafka_version="3",
            number_of_broker_nodes=3,
            broker_node_group_info={
                "instance_type": "kafka.m5.large",
                "client_subnets": [],
                "security_groups": [],
            },
        )


# the stack: 730 x 0.45 + 100 x 0.23 + 2 x 730 x 0.045 + 2 x 14.4175 = 446.035; with ten tasks 561.375


def test_a_budget_of_ten_dollars_fails_with_the_dearest_and_the_way_out() -> None:
    """The issue's broken stack: figures, URNs of what costs most, and what would be enough."""
    judged = judge(lambda: stack("10"))
    assert judged.of("SLP-BUD-001", "fail") == ["monthly"]
    finding = judged.one("SLP-BUD-001", "monthly")
    assert "$446.04 a month, $436.04 over its budget of $10.00" in finding.message
    assert "aws:rds/instance:Instance::db)" in finding.message
    assert "raise slipway:budget.monthly_usd to 447" in finding.fix
    assert len(judged.blocking("SLP-BUD-001")) == 1


def test_the_fix_names_the_changes_that_bring_it_under() -> None:
    """At 300 dollars the database in one zone is enough, and the message says so."""
    finding = judge(lambda: stack("300")).one("SLP-BUD-001", "monthly")
    assert finding.fix.startswith("the database in one zone (-$175.75) brings it to $270.2")


def test_within_the_budget_passes_with_the_figures() -> None:
    """What it costs and what it may cost at the ceiling are said of a stack that passes, too."""
    finding = judge(lambda: stack("1000")).one("SLP-BUD-001", "monthly")
    assert finding.outcome.value == "pass"
    assert "$446.04 of $1,000.00 a month" in finding.message
    assert "$561.38 with autoscaling at its ceiling" in finding.message


def test_no_budget_at_all_fails_with_how_to_add_one() -> None:
    """A stack without a budget is not a stack within its budget."""
    judged = judge(lambda: stack(None))
    assert judged.one("SLP-BUD-001").outcome.value == "fail"
    assert "monthly_usd" in judged.blocking("SLP-BUD-001")[0]


def test_an_unknown_limit_is_undecided() -> None:
    """A limit that is not known yet is no limit."""
    assert judge(lambda: stack(unknown())).one("SLP-BUD-001").outcome.value == "undecided"


def test_what_has_no_price_is_undecided_and_named_until_it_is_allowed() -> None:
    """Kafka has no price here: it is listed, never counted as zero."""
    strict = judge(lambda: stack("1000", extra=True))
    finding = strict.one("SLP-BUD-001", "monthly")
    assert finding.outcome.value == "undecided"
    assert "cluster kafka: no price for aws:msk/cluster:Cluster" in finding.message
    allowed = judge(lambda: stack("1000", extra=True), settings={"budget": {"maxUnpriced": 1}})
    assert allowed.of("SLP-BUD-001", "pass") == ["monthly"]


def test_declared_use_counts() -> None:
    """Use that the configuration declares is added, the whole of it once: 20 TB through two NATs."""
    finding = judge(lambda: stack("1000"), settings={"budget": {"usage": {"nat.gb": 20_000}}}).one(
        "SLP-BUD-001", "monthly"
    )
    assert finding.outcome.value == "fail"
    assert "declared use $900.00" in finding.message


def test_a_budget_that_mails_nobody_beforehand_fails() -> None:
    """ACTUAL alone comes too late."""
    judged = judge(lambda: stack("1000", notifications=False))
    assert judged.of("SLP-BUD-002", "fail") == ["monthly"]
    assert "no FORECASTED" in judged.one("SLP-BUD-002", "monthly").message
    assert judge(lambda: stack("1000")).of("SLP-BUD-002", "pass") == ["monthly"]
    assert judge(_untold).of("SLP-BUD-002", "undecided") == ["monthly"]


def _untold() -> None:
    aws.budgets.Budget(
        "monthly", budget_type="COST", time_unit="MONTHLY", limit_amount="1", notifications=unknown()
    )


def test_autoscaling_may_not_reach_more_than_a_multiple_of_the_budget() -> None:
    """500 dollars hold the baseline, but 1.1 x 500 does not hold ten tasks."""
    tight = {"budget": {"exposureFactor": 1.1}}
    assert judge(lambda: stack("500"), settings=tight).of("SLP-BUD-003", "fail") == ["monthly"]
    assert judge(lambda: stack("500")).of("SLP-BUD-003", "pass") == ["monthly"]
    assert judge(lambda: stack(unknown())).one("SLP-BUD-003").outcome.value == "undecided"


def test_stale_prices_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate with prices older than the limit is not trusted."""
    assert judge(lambda: stack("1000")).one("SLP-BUD-004").outcome.value == "pass"
    monkeypatch.setattr(budget, "today", lambda: dt.date(2029, 1, 1))
    finding = judge(lambda: stack("1000")).one("SLP-BUD-004")
    assert finding.outcome.value == "fail"
    assert "days old (365 allowed)" in finding.message


def test_a_price_from_a_public_table_is_believed_for_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """282 days after its date a cache's price is too old: its source is believed for 270."""

    def cache() -> None:
        aws.elasticache.ReplicationGroup(
            "cache",
            description="cache",
            engine="valkey",
            node_type="cache.t4g.small",
            num_cache_clusters=1,
        )

    assert judge(cache).one("SLP-BUD-004").outcome.value == "pass"
    monkeypatch.setattr(budget, "today", lambda: dt.date(2027, 5, 10))
    finding = judge(cache).one("SLP-BUD-004")
    assert finding.message == "the price cache.valkey.cache.t4g.small is 282 days old (270 allowed)"
