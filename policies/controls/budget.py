"""The budget: what the stack will cost, against the budget that the stack itself sets up."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from policies.control import PASS, Outcome, Verdict, each, fail, undecided, whole
from policies.example import Resource, example, res
from policies.graph import Graph, Node, Values
from policies.pricing import estimate as pricing
from policies.pricing import savings
from policies.pricing import table as prices
from policies.pricing.tiers import BUDGET, monthly_limit
from policies.settings import BudgetSettings, Settings

_DEAREST: Final = 5


@lru_cache(maxsize=1)
def price_table() -> prices.PriceTable:
    """The table that comes with the pack."""
    return prices.load()


def today() -> dt.date:
    """The day in UTC; tests replace it."""
    return dt.datetime.now(dt.UTC).date()


_ESTIMATES: Final[WeakKeyDictionary[Graph, dict[str, pricing.Estimate]]] = WeakKeyDictionary()


def _estimate(graph: Graph, settings: BudgetSettings) -> pricing.Estimate:
    """Three controls judge one estimate: it is made once for a graph and a declared use."""
    made = _ESTIMATES.setdefault(graph, {})
    key = json.dumps(settings.usage, sort_keys=True)
    if key not in made:
        made[key] = pricing.estimate(graph, price_table(), settings.usage)
    return made[key]


def _settings(settings: Settings) -> BudgetSettings:
    return settings if isinstance(settings, BudgetSettings) else BudgetSettings()


def _budget(limit: str) -> Resource:
    return res("budgets/Budget", budgetType="COST", timeUnit="MONTHLY", limitAmount=limit)


def _told(kind: str) -> dict[str, Any]:
    return {"notificationType": kind, "subscriberEmailAddresses": ["platform@example.com"]}


def _ceiling(tasks: int) -> Resource:
    return res(
        "appautoscaling/Target",
        serviceNamespace="ecs",
        scalableDimension="ecs:service:DesiredCount",
        resourceId="service/main/api",
        minCapacity=1,
        maxCapacity=tasks,
    )


_TASK: Final = res(
    "ecs/TaskDefinition",
    family="api",
    cpu="1024",
    memory="2048",
    containerDefinitions="[]",
    runtimePlatform={"cpuArchitecture": "ARM64"},
)
_SERVICE: Final = res(
    "ecs/Service",
    name="api",
    cluster="main",
    launchType="FARGATE",
    desiredCount=1,
    taskDefinition="${task.arn}",
)


@whole(
    "SLP-BUD-001",
    "The stack costs no more than its budget",
    "high",
    "budget",
    rationale="A bill is read weeks after the change that caused it; an estimate is read before.",
    remediation="make the stack smaller, or raise slipway:budget.monthly_usd",
    applies_to=(BUDGET,),
    bad=(example(it=_budget("20"), nat=res("ec2/NatGateway", subnetId="subnet-1")),),
    good=(example(it=_budget("40"), nat=res("ec2/NatGateway", subnetId="subnet-1")),),
    links=("https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html",),
)
def within_budget(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Baseline and declared use, against the stack's own monthly budget."""
    budget, limit = monthly_limit(graph)
    if limit is None:
        fix = "add aws.budgets.Budget(time_unit='MONTHLY', …): slipway:budget {monthly_usd, emails}"
        yield None, fail("has no monthly budget", fix=fix)
        return
    chosen = _settings(settings)
    result = _estimate(graph, chosen)
    if result.total > limit:
        yield budget, _over(result, limit)
    elif len(result.unpriced) > chosen.max_unpriced:
        yield budget, _unpriced(result, chosen.max_unpriced)
    else:
        yield budget, Verdict(Outcome.PASS, _within(result, limit))


def _within(result: pricing.Estimate, limit: float) -> str:
    """The figures of a stack that passes, and what they leave out."""
    figures = (
        f"${result.total:,.2f} of ${limit:,.2f} a month (baseline ${result.baseline:,.2f}, declared use "
        f"${result.usage:,.2f}, ${result.exposure:,.2f} with autoscaling at its ceiling)"
    )
    words = [figures]
    if result.unpriced:
        words.append(f"{len(result.unpriced)} resources without a price")
    if result.undeclared:
        words.append(f"no use declared for {', '.join(sorted(result.undeclared))}")
    if result.unverified():
        words.append(f"prices not traced to AWS: {', '.join(result.unverified())}")
    return "; ".join(words)


def _over(result: pricing.Estimate, limit: float) -> Verdict:
    dearest = [f"{label} ${usd:,.2f} ({urn})" for urn, label, usd in result.by_resource()[:_DEAREST]]
    changes, total = savings.enough(result, limit)
    words = ", ".join(f"{saving.what} (-${saving.usd:,.2f})" for saving in changes)
    enough = f"{words} brings it to ${total:,.2f}" if total <= limit else "no change of size brings it under"
    return fail(
        f"the stack costs ${result.total:,.2f} a month, ${result.total - limit:,.2f} over its budget of "
        f"${limit:,.2f} (baseline ${result.baseline:,.2f}, declared use ${result.usage:,.2f}); "
        f"dearest: {'; '.join(dearest)}",
        fix=f"{enough}; or raise slipway:budget.monthly_usd to {int(result.total) + 1}",
    )


def _unpriced(result: pricing.Estimate, allowed: int) -> Verdict:
    names = "; ".join(f"{each.label}: {each.why}" for each in result.unpriced[:_DEAREST])
    more = len(result.unpriced) - _DEAREST
    return undecided(
        f"{len(result.unpriced)} resources have no known price ({allowed} allowed): {names}"
        + (f"; and {more} more" if more > 0 else "")
    )


@whole(
    "SLP-BUD-002",
    "The budget tells somebody, before and when it is spent",
    "medium",
    "budget",
    rationale="A budget that mails nobody is a number in a console.",
    remediation="give the budget an ACTUAL and a FORECASTED notification with subscribers",
    applies_to=(BUDGET,),
    bad=(
        example(it=res("budgets/Budget", notifications=[_told("ACTUAL")])),
        example(
            it=res("budgets/Budget", notifications=[_told("ACTUAL"), {"notificationType": "FORECASTED"}])
        ),
    ),
    good=(example(it=res("budgets/Budget", notifications=[_told("ACTUAL"), _told("FORECASTED")])),),
    presence=("subscriberEmailAddresses",),
    links=("https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html",),
)
def budget_tells(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Both kinds of notification."""

    def judge(budget: Node) -> Verdict:
        blocks = budget.blocks("notifications")
        told = {str(block.known("notificationType")) for block in blocks if _subscribers(block)}
        missing = [kind for kind in ("ACTUAL", "FORECASTED") if kind not in told]
        return fail(f"has no {' and no '.join(missing)} notification") if missing else PASS

    return each(graph.of_type(BUDGET), judge)


def _subscribers(notification: Values) -> bool:
    return any(notification.given(key) for key in ("subscriberEmailAddresses", "subscriberSnsTopicArns"))


@whole(
    "SLP-BUD-003",
    "Autoscaling at its ceiling stays within a multiple of the budget",
    "medium",
    "budget",
    rationale="A runaway client or an attack takes every autoscaling to its maximum: survive that bill.",
    remediation="lower max_tasks or max_storage_gb, or set exposureFactor of the budget policy",
    applies_to=(BUDGET,),
    bad=(example(it=_budget("100"), task=_TASK, service=_SERVICE, ceiling=_ceiling(100)),),
    good=(example(it=_budget("100"), task=_TASK, service=_SERVICE, ceiling=_ceiling(2)),),
    absent="silent",
    # what is not known has no price, which SLP-BUD-001 says
    presence=("*",),
    links=("https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html",),
)
def bounded_exposure(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """The ceiling of each service and of the database's storage."""
    budget, limit = monthly_limit(graph)
    if limit is None:
        return
    chosen = _settings(settings)
    result = _estimate(graph, chosen)
    ceiling = limit * chosen.exposure_factor
    if result.exposure <= ceiling:
        yield budget, PASS
        return
    yield (
        budget,
        fail(
            f"with every autoscaling at its ceiling the stack costs ${result.exposure:,.2f} a month, "
            f"more than {chosen.exposure_factor:g} x its budget (${ceiling:,.2f})"
        ),
    )


@whole(
    "SLP-BUD-004",
    "Prices are fresh",
    "low",
    "budget",
    rationale="An estimate is as good as its prices.",
    remediation="refresh policies/pricing/prices.json from AWS's offer files, with source and date",
)
def fresh_prices(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """The prices that this stack uses, each against its source's limit and the stack's own."""
    chosen = _settings(settings)
    ages = [
        ((today() - price.date).days, min(chosen.price_age_days, allowed), price.id)
        for price, allowed in _used(_estimate(graph, chosen))
    ]
    if not ages:
        return
    age, allowed, price_id = max(ages, key=lambda each: each[0] - each[1])
    words = f"the price {price_id} is {age} days old ({allowed} allowed)"
    yield None, fail(words) if age > allowed else PASS


def _used(result: pricing.Estimate) -> Iterator[tuple[prices.Price, int]]:
    sources = price_table().sources
    seen = {item.price.id: item.price for item in result.items}
    return ((price, sources[price.source].max_age_days) for price in seen.values())


CONTROLS = (within_budget, budget_tells, bounded_exposure, fresh_prices)
