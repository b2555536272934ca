"""Line items with golden numbers, the table's provenance, and the estimate of small stacks."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from policies.graph import Graph, Node
from policies.pricing import estimate, items, mapping, table, tiers
from policies.reader import UNKNOWN

PRICES = table.load()


def month(lines: list[items.Line], *, ceiling: bool = False) -> float:
    """Dollars of the lines that do not depend on use."""
    total = 0.0
    for line in lines:
        price = PRICES.find(line.price, "us-east-1")
        assert price is not None, line.price
        quantity = line.highest if ceiling else line.quantity
        total += (quantity or 0) * price.usd
    return round(total, 4)


def test_a_fargate_task_on_graviton() -> None:
    """Half a vCPU and 1 GB for 730 hours: 730 x (0.5 x 0.03238 + 0.00356) = 14.4175."""
    lines = items.fargate(cpu_units=512, memory_mb=1024, tasks=1, ceiling=4, arm=True)
    assert month(lines) == 14.4175
    assert month(lines, ceiling=True) == 57.67


def test_a_fargate_task_on_x86_with_more_disk() -> None:
    """A vCPU, 2 GB and 30 GB of disk, of which 20 are free."""
    lines = items.fargate(cpu_units=1024, memory_mb=2048, tasks=2, ceiling=2, arm=False, storage_gb=30)
    assert month(lines) == round(2 * 730 * (0.04048 + 2 * 0.004445 + 10 * 0.000111), 4)


def test_multi_az_postgres_has_its_own_price() -> None:
    """db.t4g.medium is 0.065 in one zone and 0.129 in two: not its double."""
    single = items.postgres(
        instance_class="db.t4g.medium", multi_az=False, storage_gb=20, ceiling_gb=50, iops=0
    )
    double = items.postgres(
        instance_class="db.t4g.medium", multi_az=True, storage_gb=20, ceiling_gb=50, iops=0
    )
    assert month(single) == 730 * 0.065 + 20 * 0.115
    assert month(double) == 730 * 0.129 + 20 * 0.23
    assert month(single, ceiling=True) == 730 * 0.065 + 50 * 0.115


def test_iops_are_billed_above_the_free_ones() -> None:
    """3000 are free below 400 GB, 12000 from there on."""
    small = items.postgres(
        instance_class="db.t4g.medium", multi_az=False, storage_gb=100, ceiling_gb=100, iops=4000
    )
    large = items.postgres(
        instance_class="db.t4g.medium", multi_az=False, storage_gb=400, ceiling_gb=400, iops=12000
    )
    assert [line.quantity for line in small if "iops" in line.price] == [1000]
    assert [line for line in large if "iops" in line.price] == []


@pytest.mark.parametrize(
    ("lines", "usd"),
    [
        (items.cache(engine="valkey", node_type="cache.r7g.large", nodes=2), 2 * 730 * 0.1752),
        (items.nat_gateway(), 730 * 0.045),
        (items.public_address(count=3), 3 * 730 * 0.005),
        (items.load_balancer(zones=2, public=True), 730 * (0.0225 + 2 * 0.005)),
        (items.load_balancer(zones=2, public=False), 730 * 0.0225),
        (items.interface_endpoint(zones=3), 3 * 730 * 0.01),
        (items.web_acl(rules=2), 7.0),
        (items.proxy(database_vcpu=1), 2 * 730 * 0.015),
    ],
)
def test_what_runs_all_month(lines: list[items.Line], usd: float) -> None:
    """Hours, addresses, rules: the quantities of each kind of thing."""
    assert month(lines) == round(usd, 4)


def test_every_price_is_younger_than_its_source_is_believed() -> None:
    """It fails on the day on which a price gets too old: refresh it from AWS's files, or look it up again."""
    today = dt.datetime.now(dt.UTC).date()
    assert [price.id for price in PRICES.stale(today)] == []
    assert [price.id for price in PRICES.prices if price.date > today] == []
    assert len(PRICES.stale(today + dt.timedelta(days=400))) == len(PRICES.prices)


def test_what_is_not_traced_to_aws_is_marked() -> None:
    """The source `list` is a public table: its prices, and only they, are unverified."""
    assert {price.source for price in PRICES.prices if not price.verified} == {"list"}
    assert all(not price.verified for price in PRICES.prices if price.source == "list")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("unit", "per hour", "no such unit; there are hour, "),
        ("source", "hearsay", "kms.key: its source 'hearsay' is none of offers, "),
        ("source", None, "prices.0.source"),
        ("usd", 0, "greater than 0"),
        ("date", "yesterday", "prices.0.date"),
        ("offer", "", "prices.0.offer"),
        ("sku_id", "X", "prices.0.sku_id"),
    ],
)
def test_a_wrong_price_file_is_refused_with_the_place(
    tmp_path: Path, key: str, value: Any, words: str
) -> None:
    """Unit, source, dollars, date: nothing is guessed."""
    price = next(each for each in PRICES.prices if each.id == "kms.key").model_dump(mode="json")
    document = {**PRICES.model_dump(mode="json"), "prices": [{**price, key: value}]}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(document))
    with pytest.raises(table.PriceFileError) as caught:
        table.load(path)
    assert str(caught.value).startswith("prices.json is no valid price file:")
    assert words in str(caught.value)
    path.write_text(json.dumps({**document, "prices": [price, price]}))
    with pytest.raises(table.PriceFileError, match=r"kms\.key: twice for us-east-1"):
        table.load(path)


def node(type_: str, name: str, **props: Any) -> Node:
    """A node without relations."""
    return Node(type_, f"urn:pulumi:s::p::{type_}::{name}", name, props)


def test_nothing_unknown_is_counted_as_zero() -> None:
    """An unknown type, an unknown class and an unknown value are each listed, and add nothing."""
    graph = Graph(
        [
            node("aws:msk/cluster:Cluster", "kafka"),
            node("aws:rds/instance:Instance", "huge", engine="postgres", instanceClass="db.x9.metal"),
            node(
                "aws:elasticache/replicationGroup:ReplicationGroup",
                "cache",
                engine="valkey",
                nodeType="cache.none",
            ),
            node("aws:kms/key:Key", "key"),
            node("aws:ec2/vpc:Vpc", "vpc"),
        ]
    )
    result = estimate.estimate(graph, PRICES, {})
    assert {each.label for each in result.unpriced} == {
        "cluster kafka",
        "instance huge",
        "replication group cache",
    }
    assert round(result.baseline, 2) == round(1.0 + 20 * 0.115, 2)


def test_the_price_of_another_region_is_no_price() -> None:
    """A stack in Ireland is not estimated with Virginia's prices."""
    provider = node("pulumi:providers:aws", "aws", region="eu-west-1")
    result = estimate.estimate(Graph([provider, node("aws:kms/key:Key", "key")]), PRICES, {})
    assert result.baseline == 0
    assert [each.why for each in result.unpriced] == ["no price for kms.key in eu-west-1"]


def test_use_is_taken_from_what_is_declared_or_listed_as_undeclared() -> None:
    """A queue bills requests: none declared, none counted, and that is said."""
    graph = Graph([node("aws:sqs/queue:Queue", "jobs")])
    bare = estimate.estimate(graph, PRICES, {})
    assert (bare.usage, bare.undeclared) == (
        0,
        {"sqs.request": ["urn:pulumi:s::p::aws:sqs/queue:Queue::jobs"]},
    )
    declared = estimate.estimate(graph, PRICES, {"sqs.request": 1_000_000})
    assert round(declared.usage, 4) == 0.4
    assert declared.undeclared == {}


def test_every_price_that_a_mapping_names_exists_or_is_sized() -> None:
    """A typing mistake in a price's name would make a resource unpriced for ever."""
    known = set(PRICES.ids())
    sized = ("rds.postgres.", "cache.")
    for type_, mapped in mapping._PRICED.items():
        props = {"engine": "postgres", "instanceClass": "db.t4g.medium", "nodeType": "cache.t4g.small"}
        if type_ in ("aws:ecs/service:Service", "aws:rds/proxy:Proxy") or "provisioned" in type_:
            continue  # these need what they refer to: the budget's programs and the plan's bill have it
        lines = mapped(Graph([]), node(type_, "it", **props)) or []
        unknown = [
            line.price for line in lines if line.price not in known and not line.price.startswith(sized)
        ]
        assert unknown == [], type_


def test_a_quantity_is_the_stacks_and_is_shared_among_those_that_bill_it() -> None:
    """A key with a glob is for the resources whose names fit; the others share the bare one."""
    graph = Graph([node("aws:sqs/queue:Queue", name) for name in ("a-jobs", "b-jobs", "events", "other")])
    usage = {"sqs.request": 2_000_000, "sqs.request@*-jobs": 1_000_000, "nat.gb": 5}
    result = estimate.estimate(graph, PRICES, usage)
    assert [(item.label, item.quantity) for item in result.items] == [
        ("queue a-jobs", 500_000),
        ("queue b-jobs", 500_000),
        ("queue events", 1_000_000),
        ("queue other", 1_000_000),
    ]
    assert result.idle == ["nat.gb"]
    only = estimate.estimate(graph, PRICES, {"sqs.request@events": 1_000_000})
    assert len(only.undeclared["sqs.request"]) == 3


def test_the_stack_declares_its_use_in_its_own_graph() -> None:
    """A component named DeclaredUsage carries it; the pack's configuration goes over it."""
    carrier = node("acme:cost:DeclaredUsage", "usage", usage={"sqs.request": 1_000_000, "nat.gb": UNKNOWN})
    graph = Graph([carrier, node("aws:sqs/queue:Queue", "q"), node("aws:ec2/natGateway:NatGateway", "n")])
    result = estimate.estimate(graph, PRICES, {})
    assert round(result.usage, 4) == 0.4
    assert list(result.undeclared) == ["nat.gb"]
    assert round(estimate.estimate(graph, PRICES, {"sqs.request": 5_000_000}).usage, 4) == 2.0


def test_a_tier_is_the_tag_or_else_the_component_that_holds_it() -> None:
    """Dashboards take no tags: their URN names the tier."""
    tagged = node("aws:kms/key:Key", "key", tags={"tier": "security"})
    chain = "slipway:realtime:RealtimeTier$aws:cloudwatch/dashboard:Dashboard"
    held = Node("aws:cloudwatch/dashboard:Dashboard", f"urn:pulumi:s::p::{chain}::board", "board", {})
    assert [tiers.tier_of(each) for each in (tagged, held, node("aws:kms/key:Key", "k"))] == [
        "security",
        "realtime",
        "(none)",
    ]
