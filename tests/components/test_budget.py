"""The budget: its limit is what the policy reads, and people hear of it before the money is gone."""

from __future__ import annotations

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
