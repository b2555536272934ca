"""The AWS budget and anomaly detection, which mail before the money is gone; policies read the same limit."""

from __future__ import annotations

import json
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
    are free. `scope: stack` and the anomaly monitor need the tag `stack` to be active for the bill: else they
    see nothing; AWS lets a payer account activate a key only once it has been billed.
    Sources: https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html,
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html,
    https://docs.aws.amazon.com/cost-management/latest/userguide/getting-started-ad.html
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
        self._watch(name, config)
        if config.activate_tags:
            for key in ctx.tags("any"):
                aws.costexplorer.CostAllocationTag(
                    f"{name}-{key}", tag_key=key, status="Active", opts=self.child()
                )
        self.register_outputs({"budget": budget_name})

    def _watch(self, name: str, config: BudgetConfig) -> None:
        """A mail a day of what costs more than it usually does; AWS learns what is usual by itself.

        The monitor is a custom one, by tag: an account may have a single one of all its services.
        """
        ctx = self.ctx
        monitor_arn: pulumi.Input[str] | None = config.anomaly_monitor_arn
        if monitor_arn is None:
            monitor_name = ctx.name("spending")
            monitor = aws.costexplorer.AnomalyMonitor(
                name,
                name=monitor_name,
                monitor_type="CUSTOM",
                monitor_specification=json.dumps(
                    {
                        **dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or")),
                        "Tags": {"Key": "stack", "MatchOptions": None, "Values": [ctx.stack]},
                    }
                ),
                tags=self.tagged(monitor_name),
                opts=self.child(),
            )
            monitor_arn = monitor.arn
        subscription_name = ctx.name("unusual-spending")
        aws.costexplorer.AnomalySubscription(
            name,
            name=subscription_name,
            frequency="DAILY",
            monitor_arn_lists=[monitor_arn],
            subscribers=[{"type": "EMAIL", "address": email} for email in config.emails],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [str(config.anomaly_usd)],
                }
            },
            tags=self.tagged(subscription_name),
            opts=self.child(),
        )


def _notification(kind: str, percent: int, emails: Sequence[str]) -> aws.budgets.BudgetNotificationArgsDict:
    return {
        "notification_type": kind,
        "comparison_operator": "GREATER_THAN",
        "threshold": percent,
        "threshold_type": "PERCENTAGE",
        "subscriber_email_addresses": list(emails),
    }
