"""The budget: its limit is what the policy reads, and people hear of it before the money is gone."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from components.budget.component import StackBudget
from components.budget.config import BudgetConfig
from tests.components.support import CTX, MODES, run

CONFIG = BudgetConfig(monthly_usd=400, emails=("platform@example.com",))


@pytest.mark.parametrize("mode", MODES)
def test_limit_and_notifications(mode: str) -> None:
    """The limit is text in dollars a month; spent and forecast money both notify every address."""
    budget = run(lambda: StackBudget("budget", CONFIG, ctx=CTX), mode=mode).one("Budget").inputs
    assert budget["limitAmount"] == "400"
    assert (budget["limitUnit"], budget["timeUnit"], budget["budgetType"]) == ("USD", "MONTHLY", "COST")
    assert budget["accountId"] == CTX.account_id
    kinds = [(each["notificationType"], each["threshold"]) for each in budget["notifications"]]
    assert kinds == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    assert all(
        each["subscriberEmailAddresses"] == ["platform@example.com"] for each in budget["notifications"]
    )
    assert "costFilters" not in budget


def test_scope_stack_counts_the_stack_tag_only() -> None:
    """Two stacks in one account have budgets of their own."""
    config = BudgetConfig(monthly_usd=1, emails=("a@example.com",), scope="stack")
    budget = run(lambda: StackBudget("budget", config, ctx=CTX)).one("Budget").inputs
    assert budget["costFilters"] == [{"name": "TagKeyValue", "values": ["user:stack$dev"]}]


def test_unusual_spending_is_mailed_to_everybody() -> None:
    """A monitor of what carries the stack's tag, and a subscription to it with the config's threshold."""
    world = run(lambda: StackBudget("budget", CONFIG, ctx=CTX))
    monitor = world.one("AnomalyMonitor").inputs
    assert monitor["monitorType"] == "CUSTOM"
    tags = json.loads(monitor["monitorSpecification"])["Tags"]
    assert (tags["Key"], tags["Values"]) == ("stack", ["dev"])
    told = world.one("AnomalySubscription").inputs
    assert len(told["monitorArnLists"]) == 1
    assert told["frequency"] == "DAILY"
    assert told["subscribers"] == [{"type": "EMAIL", "address": "platform@example.com"}]
    assert told["thresholdExpression"]["dimension"] == {
        "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
        "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        "values": ["50"],
    }


def test_an_account_s_own_monitor_is_taken() -> None:
    """Nothing is monitored twice where the account has a monitor already."""
    arn = "arn:aws:ce::111111111111:anomalymonitor/1"
    config = BudgetConfig.model_validate({**CONFIG.model_dump(), "anomaly_monitor_arn": arn})
    world = run(lambda: StackBudget("budget", config, ctx=CTX))
    assert world.one("AnomalySubscription").inputs["monitorArnLists"] == [arn]
    assert world.of("AnomalyMonitor") == []


def test_tags_are_activated_when_asked_for() -> None:
    """The keys are those that every resource carries; a first deployment could not activate them."""
    assert run(lambda: StackBudget("budget", CONFIG, ctx=CTX)).of("CostAllocationTag") == []
    config = BudgetConfig.model_validate({**CONFIG.model_dump(), "activate_tags": True})
    tags = run(lambda: StackBudget("budget", config, ctx=CTX)).of("CostAllocationTag")
    assert {each.inputs["tagKey"] for each in tags} == set(CTX.tags("budget"))
    assert {each.inputs["status"] for each in tags} == {"Active"}


@pytest.mark.parametrize(
    "values",
    [
        {"monthly_usd": 0, "emails": ["a@example.com"]},
        {"monthly_usd": 10, "emails": []},
        {"monthly_usd": 10, "emails": ["nobody"]},
        {"monthly_usd": 10, "emails": [f"p{n}@example.com" for n in range(11)]},
        {"monthly_usd": 10, "emails": ["a@example.com"], "email": "b@example.com"},
    ],
)
def test_impossible_budgets(values: dict[str, object]) -> None:
    """No limit, nobody or too many to tell, no address, an unknown key."""
    with pytest.raises(ValidationError):
        BudgetConfig.model_validate(values)
