"""How big, and how many: what a size or a ceiling may be in this stack, so that no typo buys a rack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from policies.control import PASS, Verdict, each, fail, need, one, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import MISSING
from policies.settings import RelationSettings, ResourceSettings, Settings

# the property that gives a type its size, and whose list it is on
SIZED: Final = {
    "aws:rds/instance:Instance": ("instanceClass", "database_sizes"),
    "aws:rds/clusterInstance:ClusterInstance": ("instanceClass", "database_sizes"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("nodeType", "cache_sizes"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("instanceType", "instance_sizes"),
    "aws:ec2/instance:Instance": ("instanceType", "instance_sizes"),
}
# the property that bounds how much of it there may be
CAPPED: Final = {
    "aws:appautoscaling/target:Target": ("maxCapacity", "max_tasks"),
    "aws:autoscaling/group:Group": ("maxSize", "max_instances"),
    "aws:lambda/function:Function": ("reservedConcurrentExecutions", "max_function_concurrency"),
    "aws:rds/instance:Instance": ("maxAllocatedStorage", "max_storage_gb"),
}
TABLE: Final = "aws:dynamodb/table:Table"
CANARY: Final = "aws:synthetics/canary:Canary"
GATEWAY: Final = "aws:ec2/natGateway:NatGateway"
ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
_PRICING: Final = "https://aws.amazon.com/{}/pricing/"
_FREE: Final = ("Gateway", MISSING)  # AWS's own default is the free kind
_MINUTES: Final = 5.0


def _chosen(settings: Settings) -> ResourceSettings:
    return settings if isinstance(settings, ResourceSettings) else ResourceSettings()


@one(
    "SLP-SIZ-001",
    "Sizes are those that the stack may have",
    "high",
    "cost",
    frameworks=maps(),
    rationale="One wrong letter in an instance class is the price of a car each year.",
    remediation="take a size of the list, or add the size to the pack's configuration of this stack",
    links=(_PRICING.format("rds/postgresql"),),
    applies_to=tuple(SIZED),
    bad=(
        example(it=res("rds/Instance", instanceClass="db.r6g.16xlarge")),
        example(it=res("elasticache/ReplicationGroup", nodeType="cache.r7g.8xlarge")),
        example(it=res("ec2/LaunchTemplate", instanceType="p5.48xlarge")),
    ),
    good=(
        example(it=res("rds/Instance", instanceClass="db.r6g.large")),
        example(it=res("elasticache/ReplicationGroup", nodeType="cache.t4g.small")),
        example(it=res("ec2/LaunchTemplate", instanceType="g5.xlarge")),
    ),
    absent="pass",
)
def sizes(node: Node, settings: Settings) -> Verdict:
    """By patterns such as `db.t4g.*`."""
    key, field = SIZED[node.type]
    size = str(node.known(key, ""))
    allowed: tuple[str, ...] = getattr(_chosen(settings), field)
    good = not size or any(fnmatchcase(size, pattern) for pattern in allowed)
    return need(good, f"its {key} is not one of {', '.join(allowed)}")


@one(
    "SLP-SIZ-002",
    "Ceilings are within what the stack may cost",
    "high",
    "cost",
    frameworks=maps(checkov="115"),
    rationale="A loop, or foreign traffic, takes autoscaling to its ceiling: the ceiling is the bill.",
    remediation="lower the ceiling, or raise the cap in the pack's configuration of this stack",
    links=(
        "https://docs.aws.amazon.com/autoscaling/application/userguide/what-is-application-auto-scaling.html",
    ),
    applies_to=(*CAPPED, TABLE),
    bad=(
        example(it=res("appautoscaling/Target", maxCapacity=500)),
        example(it=res("autoscaling/Group", maxSize=200)),
        example(it=res("lambda/Function", reservedConcurrentExecutions=900)),
        example(it=res("rds/Instance", maxAllocatedStorage=16384)),
        example(it=res("dynamodb/Table", billingMode="PAY_PER_REQUEST")),
        example(
            it=res(
                "dynamodb/Table", billingMode="PAY_PER_REQUEST", onDemandThroughput={"maxReadRequestUnits": 9}
            )
        ),
    ),
    good=(
        example(it=res("appautoscaling/Target", maxCapacity=8)),
        example(it=res("autoscaling/Group", maxSize=4)),
        example(it=res("lambda/Function", reservedConcurrentExecutions=50)),
        example(it=res("rds/Instance", maxAllocatedStorage=500)),
        example(it=res("dynamodb/Table", billingMode="PROVISIONED")),
        example(
            it=res(
                "dynamodb/Table",
                billingMode="PAY_PER_REQUEST",
                onDemandThroughput={"maxReadRequestUnits": 1000, "maxWriteRequestUnits": 1000},
            )
        ),
    ),
    absent="pass",
    presence=("onDemandThroughput", "maxReadRequestUnits", "maxWriteRequestUnits"),
)
def caps(node: Node, settings: Settings) -> Verdict:
    """A table that is paid by request has no ceiling unless it is given one."""
    if node.type == TABLE:
        if node.known("billingMode", "PROVISIONED") != "PAY_PER_REQUEST":
            return PASS
        node.known("onDemandThroughput")
        limits = ("onDemandThroughput.maxReadRequestUnits", "onDemandThroughput.maxWriteRequestUnits")
        return need(all(map(node.given, limits)), "is paid by request without a ceiling")
    key, field = CAPPED[node.type]
    most: int = getattr(_chosen(settings), field)
    return need(float(node.known(key, 0)) <= most, f"its {key} is above {most}")


def _canary(expression: str) -> Example:
    return example(it=res("synthetics/Canary", schedule={"expression": expression}))


@one(
    "SLP-SIZ-003",
    "Canaries run every five minutes at most",
    "low",
    "cost",
    frameworks=maps(),
    rationale="Each run is billed: every minute is 43,800 runs a month for one canary.",
    remediation="set the schedule to rate(5 minutes) or slower",
    links=(_PRICING.format("cloudwatch"),),
    applies_to=(CANARY,),
    bad=(_canary("rate(1 minute)"), _canary("rate(4 minutes)"), _canary("cron(* * * * ? *)")),
    good=(
        _canary("rate(5 minutes)"),
        _canary("rate(1 hour)"),
        _canary("rate(0 minute)"),
        _canary("cron(0 * * * ? *)"),
    ),
    absent="pass",
)
def canaries(canary: Node, _settings: Settings) -> Verdict:
    """`rate(0 minute)` runs once; of a cron expression only the minutes are looked at."""
    expression = str(canary.known("schedule.expression", ""))
    rate = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", expression)
    if rate:
        minutes = float(rate[1]) * (60 if rate[2] == "hour" else 1)
        return need(minutes == 0 or minutes >= _MINUTES, "runs more often than every 5 minutes")
    cron = re.match(r"cron\((\S+)", expression)
    often = cron is not None and bool(re.fullmatch(r"\*(/[1-4])?|.*-.*", cron[1]))
    return need(not often, "may run more often than every 5 minutes")


def _many(type_: str, count: int, **given: Any) -> Example:
    others = {f"n{index}": res(type_, **given) for index in range(count - 1)}
    return example(**others, it=res(type_, **given))


@whole(
    "SLP-SIZ-004",
    "There are no more gateways and endpoints than the stack may have",
    "medium",
    "cost",
    frameworks=maps(),
    rationale="Each NAT gateway is 33 dollars a month before its first byte, each endpoint 7 in each zone.",
    remediation="share one per zone, or raise the number in the pack's configuration of this stack",
    links=(_PRICING.format("vpc"), _PRICING.format("privatelink")),
    applies_to=(GATEWAY, ENDPOINT),
    bad=(_many("ec2/NatGateway", 4), _many("ec2/VpcEndpoint", 13, vpcEndpointType="Interface")),
    good=(
        _many("ec2/NatGateway", 3),
        _many("ec2/VpcEndpoint", 2, vpcEndpointType="Interface"),
        _many("ec2/VpcEndpoint", 13, vpcEndpointType="Gateway"),
    ),
    absent="pass",
)
def gateways(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """The verdict stands with those that are too many, in the stack's order; gateway endpoints are free."""
    chosen = settings if isinstance(settings, RelationSettings) else RelationSettings()
    billed = [each for each in graph.of_type(ENDPOINT) if each.get("vpcEndpointType") not in _FREE]
    places = {
        id(each): index for group in (graph.of_type(GATEWAY), billed) for index, each in enumerate(group)
    }

    def judge(node: Node) -> Verdict:
        most = chosen.max_nat_gateways if node.type == GATEWAY else chosen.max_interface_endpoints
        if places.get(id(node), 0) < most:
            return PASS
        if node.type == ENDPOINT:
            for endpoint in billed:
                endpoint.known("vpcEndpointType")
        return fail(f"is one more than the {most} of its kind that this stack may have")

    return each(graph.of_type(GATEWAY, ENDPOINT), judge)


CONTROLS = (sizes, caps, canaries, gateways)
