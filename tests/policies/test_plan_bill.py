"""The bill of the event-delivery plan for a million users, line by line, beside what AWS's list says."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from policies.graph import Graph, Node
from policies.pricing import estimate, table


class Line(NamedTuple):
    """A line of the plan: its dollars, the list's, and why they differ."""

    name: str
    plan: float
    listed: float
    why: str


# The plan's 1,414 USD a month. `listed` is by the price file; a difference below 2 % is rounding.
PLAN = (
    Line("primary", 700, 772.00, "730 h x 0.90 is 657 already; 500 GB Multi-AZ are 115 (0.90 unverified)"),
    Line("replica-1", 200, 221.75, "730 h x 0.225 + 500 GB x 0.115: the plan rounds down"),
    Line("replica-2", 200, 221.75, "the same"),
    Line("proxy", 45, 43.80, "730 h x 4 vCPU x 0.015"),
    Line("backups", 50, 47.50, "500 GB above the database's size; the first 500 GB are free"),
    Line("scheduler", 3, 1.45, "86,400 GB-s and 43,200 calls: the plan doubles it"),
    Line("scheduler-warm", 15, 21.90, "2 GB x 730 h x 0.0000041667 a GB-s"),
    Line("worker", 40, 22.59, "1.35 million GB-s and 450,000 calls; cheaper still while kept warm"),
    Line("worker-warm", 75, 109.50, "10 GB x 730 h x 0.0000041667 a GB-s"),
    Line("queues", 4, 3.60, "9 million requests; deletes would add 4.5 million, 1.80"),
    Line("bus", 1, 0.04, "43,200 events; below the plan's rounding, and rules on a schedule are free"),
    Line("logs", 25, 25.35, "50 GB taken in, and 0.35 for a week of them"),
    Line("alarms", 10, 2.00, "20 x 0.10; 0.50 each was taken"),
    Line("nat", 32, 32.85, "730 h x 0.045, no data"),
    Line("endpoints", 14, 14.60, "2 x 730 h x 0.01, in one zone each"),
)


def node(type_: str, name: str, /, **props: Any) -> Node:
    """A node of the plan."""
    return Node(type_, f"urn:pulumi:plan::p::{type_}::{name}", name, props)


def plan() -> Graph:
    """What the plan deploys, as the resources of a graph."""
    primary = node(
        "aws:rds/instance:Instance",
        "primary",
        identifier="primary",
        engine="postgres",
        instanceClass="db.r6g.xlarge",
        multiAz=True,
        allocatedStorage=500,
    )
    replicas = [
        node(
            "aws:rds/instance:Instance",
            f"replica-{number}",
            instanceClass="db.r6g.large",
            replicateSourceDb="primary",
        )
        for number in (1, 2)
    ]
    functions = [
        node("aws:lambda/function:Function", name, name=name, memorySize=1024)
        for name in ("scheduler", "worker")
    ]
    warm = [
        node(
            "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
            f"{name}-warm",
            functionName=name,
            provisionedConcurrentExecutions=count,
        )
        for name, count in (("scheduler", 2), ("worker", 10))
    ]
    return Graph(
        [
            primary,
            *replicas,
            node("aws:rds/proxy:Proxy", "proxy", name="proxy"),
            node(
                "aws:rds/proxyTarget:ProxyTarget",
                "target",
                dbProxyName="proxy",
                dbInstanceIdentifier="primary",
            ),
            *functions,
            *warm,
            *(node("aws:sqs/queue:Queue", f"queue-{name}") for name in ("critical", "high", "normal", "low")),
            node("aws:cloudwatch/eventBus:EventBus", "bus"),
            node("aws:cloudwatch/logGroup:LogGroup", "logs"),
            *(
                node("aws:cloudwatch/metricAlarm:MetricAlarm", f"alarm-{number}", namespace="AWS/SQS")
                for number in range(20)
            ),
            node("aws:ec2/natGateway:NatGateway", "nat"),
            *(
                node(
                    "aws:ec2/vpcEndpoint:VpcEndpoint",
                    f"endpoint-{name}",
                    vpcEndpointType="Interface",
                    subnetIds=["one"],
                )
                for name in ("rds", "sqs")
            ),
        ]
    )


USAGE = {
    "rds.backup.gb": 500,
    "lambda.request@scheduler": 43_200,
    "lambda.request@worker": 450_000,
    "lambda.x86.gb_second@scheduler": 43_200 * 2,
    "lambda.x86.gb_second@worker": 450_000 * 3,
    "sqs.request": 9_000_000,
    "events.custom": 43_200,
    "logs.ingest.gb": 50,
    "logs.stored.gb": 50 * 7 / 30.4,
    "nat.gb": 0,
    "endpoint.gb": 0,
}


def test_the_plans_bill_line_by_line() -> None:
    """Each line by the price file; the plan's own lines are its total."""
    result = estimate.estimate(plan(), table.load(), USAGE)
    assert (result.unpriced, result.undeclared, result.idle) == ([], {}, [])
    sums: dict[str, float] = {}
    for item in result.items:
        name = item.urn.rpartition("::")[2]
        line = {"queue": "queues", "alarm": "alarms", "endpoint": "endpoints"}.get(
            name.partition("-")[0], name
        )
        if item.price.id == "rds.backup.gb":
            line = "backups"
        sums[line] = sums.get(line, 0.0) + item.usd
    assert {name: round(usd, 2) for name, usd in sums.items()} == {line.name: line.listed for line in PLAN}
    assert sum(line.plan for line in PLAN) == 1_414
    assert round(result.total, 2) == pytest.approx(sum(line.listed for line in PLAN), abs=0.03)


def test_every_difference_has_its_reason() -> None:
    """The plan is 8 % below the list: the database and what is kept warm are dearer, alarms cheaper."""
    assert all(line.why for line in PLAN if abs(line.listed / line.plan - 1) > 0.02)
    assert round(sum(line.listed for line in PLAN) / 1_414 - 1, 2) == 0.09
