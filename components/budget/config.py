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
    emails: tuple[Email, ...] = Field(
        min_length=1, max_length=10, description="who is told at 80 % and 100 % spent, and at 100 % forecast"
    )
