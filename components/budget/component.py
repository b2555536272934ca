"""The AWS budget that mails before the money is gone; the budget policy reads the same limit at preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.base import Component

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from components.base import Context
    from components.budget.config import BudgetConfig


class StackBudget(Component):
    """A monthly cost budget: 80 % and 100 % spent, and 100 % forecast.

    It tells and never stops anything; AWS refreshes it a few times a day. The first two budgets of an account
    are free. `scope: stack` needs the cost allocation tag `stack` to be active, or it would see nothing.
    Sources: https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html,
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
    """

    def __init__(
        self,
        name: str,
        config: BudgetConfig,
        *,
        ctx: Context,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """The stack's limit is the config's; nothing is wired."""
        super().__init__("budget:StackBudget", name, ctx, tier="budget", opts=opts)
        budget_name = ctx.name("monthly")
        self.budget = aws.budgets.Budget(
            name,
            name=budget_name,
            account_id=ctx.account_id,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(config.monthly_usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:stack${ctx.stack}"]}]
            if config.scope == "stack"
            else None,
            notifications=[
                _notification("ACTUAL", 80, config.emails),
                _notification("ACTUAL", 100, config.emails),
                _notification("FORECASTED", 100, config.emails),
            ],
            tags=self.tagged(budget_name),
            opts=self.child(),
        )
        self.register_outputs({"budget": budget_name})


def _notification(kind: str, percent: int, emails: Sequence[str]) -> aws.budgets.BudgetNotificationArgsDict:
    return {
        "notification_type": kind,
        "comparison_operator": "GREATER_THAN",
        "threshold": percent,
        "threshold_type": "PERCENTAGE",
        "subscriber_email_addresses": list(emails),
    }
