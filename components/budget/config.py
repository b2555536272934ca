"""What the stack may cost in a month, and who is told before it does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from components.model import Model

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]


class BudgetConfig(Model):
    """A monthly cost budget; AWS Budgets mails at most 10 addresses per notification.

    Source: https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-create.html
    """

    monthly_usd: int = Field(gt=0, le=1_000_000, description="limit in US dollars a month")
    scope: Literal["account", "stack"] = Field(
        default="account",
        description="`stack` counts what carries the stack's tag, once an administrator activated the tag",
    )
    anomaly_usd: int = Field(
        default=50, ge=1, le=1_000_000, description="spending so far above the usual is mailed, once a day"
    )
    anomaly_monitor_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws:ce::\d{12}:anomalymonitor/\S+$",
        description="none: a monitor of what carries the stack's tag; a new account has one of its own",
    )
    activate_tags: bool = Field(
        default=False,
        description="activate the tags for the bill: in a payer account only, once they were billed",
    )
    emails: tuple[Email, ...] = Field(
        min_length=1, max_length=10, description="who is told at 80 % and 100 % spent, and at 100 % forecast"
    )
