"""StackConfig: everything that may differ between stacks, every tier optional."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from components.base import Availability, Context, Lifecycle
from components.budget.config import BudgetConfig
from components.budget.usage import UsageConfig
from components.data.config import DataConfig
from components.model import Model
from components.network.config import NetworkConfig
from components.realtime.config import RealtimeConfig
from components.service.config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

AccountId = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
# What the longest name, a bucket's with account and region, leaves of S3's 63 characters: a longer stack name
# would be cut, and documents that say "everything of this stack" by its beginning would no longer match.
_STACK_NAME = re.compile(r"[a-z](-?[a-z0-9])*")
_STACK_NAME_LIMIT = 18
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso")
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
TagValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")]

# Each tier needs what stands before it.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "data": ("network",),
    "realtime": ("network", "data", "image"),
}


class StackConfig(Model):
    """One stack; account and region are required because ARNs and bucket names are computed from them."""

    account_id: AccountId = Field(
        description="twelve digits in quotes; the provider refuses any other account"
    )
    region: Region = Field(description="for example us-east-1")
    owner: TagValue = Field(description="who answers for the stack; a tag on every resource")
    cost_center: TagValue = Field(description="who pays; a tag on every resource")
    availability: Availability = Field(
        default="pilot", description="ha: two tasks at least, Multi-AZ database and cache; pilot: one of each"
    )
    availability_reason: str | None = Field(
        default=None, min_length=10, description="why a prod stack is not ha"
    )
    lifecycle: Lifecycle = Field(
        default="disposable",
        description="retained: protected resources, final snapshots, 30 days to take a deletion back",
    )
    budget: BudgetConfig | None = None
    usage: UsageConfig = Field(
        default_factory=UsageConfig, description="what the stack expects in a month; the estimate's use"
    )
    network: NetworkConfig | None = None
    image: ImageConfig | None = None
    data: DataConfig | None = None
    realtime: RealtimeConfig | None = None

    @field_validator("region")
    @classmethod
    def _commercial(cls, value: str) -> str:
        """ARNs and service principals are computed for the partition `aws`."""
        if value.startswith(_OTHER_PARTITIONS):
            raise ValueError(f"a region of the partition aws; {value} is in another one. hint: us-east-1")
        return value

    @model_validator(mode="after")
    def _tiers_stand_on_something(self) -> StackConfig:
        missing = [
            f"{tier} needs {need}"
            for tier, needs in _NEEDS.items()
            if getattr(self, tier) is not None
            for need in needs
            if getattr(self, need) is None
        ]
        if missing:
            raise ValueError(f"{'; '.join(missing)}. hint: add the missing keys, or leave the tier out")
        return self

    @model_validator(mode="after")
    def _ha_outlives_a_zone(self) -> StackConfig:
        """What is alone in a zone goes down with it, whatever else is there twice."""
        if self.availability != "ha":
            return self
        alone: list[str] = []
        if self.network and self.network.nat == "single":
            alone.append("network.nat is single; allowed: per_zone")
        if self.data and self.data.cache and self.data.cache.replicas == 0:
            alone.append("data.cache.replicas is 0; allowed: 1 to 5")
        if alone:
            raise ValueError(f"availability is ha, but {'; '.join(alone)}. hint: or availability: pilot")
        return self

    def context(self, project: str, stack: str) -> Context:
        """The context that every component takes its names, ARNs and tags from."""
        return Context(
            project=project,
            stack=stack,
            account_id=self.account_id,
            region=self.region,
            owner=self.owner,
            cost_center=self.cost_center,
            lifecycle=self.lifecycle,
            availability=self.availability,
        )


def is_production(stack: str) -> bool:
    """Stacks named `prod` or `prod-...` serve users."""
    return stack == "prod" or stack.startswith("prod-")


def stack_name_problems(stack: str) -> list[tuple[str, object, str]]:
    """Names of AWS are lower case and short: `Dev` and `dev` would claim the same ones."""
    if len(stack) <= _STACK_NAME_LIMIT and _STACK_NAME.fullmatch(stack):
        return []
    allowed = f"lower-case letters, digits and single hyphens, a letter first, at most {_STACK_NAME_LIMIT}"
    return [("stack name", stack, allowed)]


def production_problems(stack: str, values: Mapping[str, object]) -> list[tuple[str, object, str]]:
    """What a production stack may not be, as (key path, found, allowed)."""
    if not is_production(stack):
        return []
    problems: list[tuple[str, object, str]] = []
    if values.get("availability", "pilot") != "ha" and not values.get("availability_reason"):
        problems.append(
            (
                "availability",
                values.get("availability", "pilot"),
                "ha in a prod stack, or availability_reason saying why not",
            )
        )
    return problems
