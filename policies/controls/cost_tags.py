"""Whose money it is: tags on everything, active for the bill, and somebody told of unusual spending."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from policies import taggable
from policies.control import PASS, Verdict, each, fail, one, undecided, whole
from policies.example import Example, Resource, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import RelationSettings, ResourceSettings, Settings

BUDGET: Final = "aws:budgets/budget:Budget"
GROUP: Final = "aws:autoscaling/group:Group"
SERVICE: Final = "aws:ecs/service:Service"
SUBSCRIPTION: Final = "aws:costexplorer/anomalySubscription:AnomalySubscription"
_ALLOCATION: Final = "aws:costexplorer/costAllocationTag:CostAllocationTag"
_GUIDE: Final = "https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/cost-alloc-tags.html"
_ACTIVATE: Final = "https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html"
_ANOMALIES: Final = "https://docs.aws.amazon.com/cost-management/latest/userguide/getting-started-ad.html"
_TAGS: Final = {"stack": "dev", "tier": "data", "owner": "platform", "cost-center": "42"}


def _without(key: str) -> dict[str, str]:
    return {name: value for name, value in _TAGS.items() if name != key}


def _blocks(tags: Mapping[str, str], *, launched: bool = True) -> list[dict[str, Any]]:
    return [{"key": key, "value": value, "propagateAtLaunch": launched} for key, value in tags.items()]


@one(
    "SLP-TAG-001",
    "Everything says whose cost it is",
    "high",
    "cost",
    frameworks=maps(),
    rationale="What carries no tag ends in the part of the bill that nobody answers for.",
    remediation="give the tags stack, tier, owner and cost-center, or set them as the provider's defaults",
    links=(_GUIDE,),
    bad=(
        example(it=res("sqs/Queue", name="jobs", tags={})),
        *(example(it=res("sqs/Queue", name="jobs", tags=_without(key))) for key in _TAGS),
        example(it=res("sqs/Queue", name="jobs", tags={**_TAGS, "owner": ""})),
        example(it=res("autoscaling/Group", tags=_blocks(_without("owner")))),
        example(it=res("autoscaling/Group", tags=_blocks(_TAGS, launched=False))),
    ),
    good=(
        example(it=res("sqs/Queue", name="jobs", tags=_TAGS)),
        example(it=res("autoscaling/Group", tags=_blocks(_TAGS))),
    ),
    presence=("stack", "tier", "owner", "cost-center", "value"),
)
def tagged(node: Node, settings: Settings) -> Verdict | None:
    """The resource's own tags over the provider's; a value may be unknown, that it is given not."""
    wanted = (settings if isinstance(settings, ResourceSettings) else ResourceSettings()).required_tags
    if node.type in taggable.BLOCKS:
        given = {
            str(block.known("key", ""))
            for block in node.blocks("tags")
            if block.known("propagateAtLaunch", default=False) is True and block.given("value")
        }
    elif node.type in taggable.types():
        own = node.known("tags", {})
        tags: Mapping[str, Any] = cast("Mapping[str, Any]", own) if isinstance(own, Mapping) else {}
        given = {key for key, value in {**_defaults(node), **tags}.items() if value}
    else:
        return None
    missing = [key for key in wanted if key not in given]
    return fail(f"has no tag {', '.join(missing)}") if missing else PASS


def _defaults(node: Node) -> Mapping[str, Any]:
    """The provider's default tags, which the wire carries as JSON text."""
    value: Any = node.provider.get("defaultTags")
    if value is UNKNOWN:
        raise UndecidedError("defaultTags of its provider")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    inner: Any = cast("Mapping[str, Any]", value).get("tags") if isinstance(value, Mapping) else None
    return cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {}


@one(
    "SLP-TAG-002",
    "Tasks carry their service's tags",
    "medium",
    "cost",
    frameworks=maps(),
    rationale="Fargate bills tasks, not services: without tags of their own they are nobody's cost.",
    remediation="set propagate_tags to SERVICE",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html",),
    applies_to=(SERVICE,),
    bad=(
        example(it=res("ecs/Service", name="api", propagateTags="NONE")),
        example(it=res("ecs/Service", name="api")),
    ),
    good=(
        example(it=res("ecs/Service", name="api", propagateTags="SERVICE")),
        example(it=res("ecs/Service", name="api", propagateTags="TASK_DEFINITION")),
    ),
)
def propagated(service: Node, _settings: Settings) -> Verdict:
    """From the service or from the task definition."""
    how = service.known("propagateTags", "NONE")
    return PASS if how in ("SERVICE", "TASK_DEFINITION") else fail("its tasks have no tags")


def _monthly() -> Resource:
    return res("budgets/Budget", budgetType="COST", timeUnit="MONTHLY", limitAmount="400")


def _active(*keys: str, status: str = "Active") -> dict[str, Resource]:
    return {
        f"t{n}": res("costexplorer/CostAllocationTag", tagKey=key, status=status)
        for n, key in enumerate(keys)
    }


@whole(
    "SLP-TAG-003",
    "The tags are active for the bill",
    "low",
    "cost",
    frameworks=maps(),
    rationale="AWS leaves a tag out of every report until somebody activates its key in the payer account.",
    remediation="activate the keys there (slipway:budget.activate_tags), then list them as activatedTags",
    links=(_ACTIVATE,),
    applies_to=(BUDGET,),
    bad=(
        example(it=_monthly()),
        example(it=_monthly(), **_active("stack", "tier", "owner")),
        example(it=_monthly(), **_active(*_TAGS, status="Inactive")),
    ),
    good=(example(it=_monthly(), **_active(*_TAGS)),),
)
def allocated(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """By resources of this stack, or by what the configuration says of the payer account."""
    chosen = settings if isinstance(settings, RelationSettings) else RelationSettings()

    def judge(_budget: Node) -> Verdict:
        active, open_ = set(chosen.activated_tags), False
        for tag in graph.of_type(_ALLOCATION):
            key, status = tag.get("tagKey"), tag.get("status")
            open_ = open_ or UNKNOWN in (key, status)
            if status == "Active" and isinstance(key, str):
                active.add(key)
        missing = [key for key in chosen.required_tags if key not in active]
        if missing and open_:
            return undecided("which tags are active is not known")
        return fail(f"{', '.join(missing)} is not active for cost allocation") if missing else PASS

    return each(graph.of_type(BUDGET), judge)


def _watched(**given: Any) -> Example:
    values: dict[str, Any] = {
        "frequency": "DAILY",
        "monitorArnLists": ["${monitor.arn}"],
        "subscribers": [{"type": "EMAIL", "address": "platform@example.com"}],
        "thresholdExpression": {"dimension": {"key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "values": ["50"]}},
    }
    return example(
        it=_monthly(),
        monitor=res("costexplorer/AnomalyMonitor", name="stack", monitorType="CUSTOM"),
        told=res("costexplorer/AnomalySubscription", **{**values, **given}),
    )


@whole(
    "SLP-TAG-004",
    "Somebody is told when spending is not usual",
    "medium",
    "cost",
    frameworks=maps(),
    rationale="A budget speaks when the money is nearly gone; an anomaly shows within a day.",
    remediation="add aws.costexplorer.AnomalyMonitor and AnomalySubscription: slipway:budget.anomaly_usd",
    links=(_ANOMALIES,),
    applies_to=(BUDGET,),
    bad=(
        example(it=_monthly()),
        _watched(monitorArnLists=[]),
        _watched(subscribers=[]),
        _watched(thresholdExpression={}),
    ),
    good=(
        _watched(),
        _watched(monitorArnLists=["arn:aws:ce::111111111111:anomalymonitor/1"]),
    ),
    presence=("monitorArnLists", "subscribers", "thresholdExpression", "address", "type", "frequency"),
)
def anomalies(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A monitor of AWS's own, which new accounts have, serves as well: only the subscription must be here."""
    needed = ("monitorArnLists", "subscribers", "thresholdExpression")

    def judge(_budget: Node) -> Verdict:
        found = graph.of_type(SUBSCRIPTION)
        if not found:
            return fail("has no anomaly subscription beside it")
        lacking = [[key for key in needed if not each.given(key)] for each in found]
        return (
            PASS
            if [] in lacking
            else fail(f"its anomaly subscription has no {lacking[0][0]}", path=[found[0]])
        )

    return each(graph.of_type(BUDGET), judge)


CONTROLS = (tagged, propagated, allocated, anomalies)
