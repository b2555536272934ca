"""What every component shares: computed names and ARNs, tags, and the options of children."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pulumi

from components.names import LIMITS, safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence

Availability = Literal["pilot", "ha"]
Lifecycle = Literal["disposable", "retained"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """Which stack this is, and so the name, ARN and tags of its resources, known before they exist."""

    project: str
    stack: str
    account_id: str
    region: str
    owner: str
    cost_center: str
    lifecycle: Lifecycle = "disposable"
    availability: Availability = "pilot"
    partition: str = "aws"

    @property
    def retained(self) -> bool:
        """Whether state outlives a mistake: protect, final snapshots, long recovery windows."""
        return self.lifecycle == "retained"

    @property
    def highly_available(self) -> bool:
        """Whether the loss of one zone must not be noticed."""
        return self.availability == "ha"

    def name(self, *parts: str, limit: int = LIMITS["bucket"], suffix: str = "") -> str:
        """A physical name of this stack, for example `slipway-dev-api`; cut names end in a hash."""
        return safe_name(self.project, self.stack, *parts, limit=limit, suffix=suffix)

    def bucket_name(self, name: str) -> str:
        """Bucket names are shared by all accounts and regions of a partition, so both are part of them."""
        return self.name(name, limit=LIMITS["bucket"], suffix=f"{self.account_id}-{self.region}")

    def arn(
        self, service: str, resource: str, *, region: str | None = None, account: str | None = None
    ) -> str:
        """A computed ARN; `region=""` or `account=""` for services whose ARNs have none (IAM, S3)."""
        region = self.region if region is None else region
        account = self.account_id if account is None else account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def role_arn(self, name: str) -> str:
        """The ARN of a role of this stack by its physical name."""
        return self.arn("iam", f"role/{name}", region="")

    def bucket_arn(self, bucket: str) -> str:
        """The ARN of a bucket by its physical name."""
        return self.arn("s3", bucket, region="", account="")

    def parameter_name(self, tier: str, name: str) -> str:
        """`/slipway/dev/data/database-host`: outputs reach containers by it, not by a document."""
        return f"/{self.project}/{self.stack}/{tier}/{name}"

    def parameter_arn(self, parameter_name: str) -> str:
        """The ARN of an SSM parameter by its full name (which starts with a slash)."""
        return self.arn("ssm", f"parameter{parameter_name}")

    def log_group_name(self, tier: str, name: str) -> str:
        """`/slipway/dev/realtime/api`."""
        return f"/{self.project}/{self.stack}/{tier}/{name}"

    def log_group_arn(self, log_group_name: str) -> str:
        """The ARN of a log group, without the `:*` that stream-level actions need."""
        return self.arn("logs", f"log-group:{log_group_name}")

    def key_alias(self, purpose: str) -> str:
        """The alias of a stack key; IAM refers to keys by it because AWS chooses key ids itself."""
        return f"alias/{self.name(purpose, limit=LIMITS['alias'])}"

    def tags(self, tier: str) -> dict[str, str]:
        """What cost reports and on-call need to know of every resource."""
        return {"stack": self.stack, "tier": tier, "owner": self.owner, "cost-center": self.cost_center}


class Component(pulumi.ComponentResource):
    """A tier or a building block; children take `opts=self.child()`, outputs are registered always."""

    def __init__(
        self,
        kind: str,
        name: str,
        ctx: Context,
        *,
        tier: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`kind` is the type token without its package (`network:Network`); `tier` is what tags say."""
        super().__init__(f"slipway:{kind}", name, None, opts)
        self.name = name
        self.ctx = ctx
        self.tier = tier
        self.tags = ctx.tags(tier)

    def tagged(self, name: str, **more: str) -> dict[str, str]:
        """The component's tags with the resource's `Name`."""
        return {**self.tags, "Name": name, **more}

    def child(
        self,
        *,
        stateful: bool = False,
        parent: pulumi.Resource | None = None,
        depends_on: Sequence[pulumi.Resource] | None = None,
        ignore_changes: list[str] | None = None,
        delete_before_replace: bool | None = None,
        custom_timeouts: pulumi.CustomTimeouts | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of a child: its parent, and an alias to the root so that older flat stacks move here.

        `stateful` children of a retained stack are protected, and kept in AWS when they leave the program;
        any other child is protected if its component is. What was given a `name` the AWS provider deletes
        before it replaces, since two can't share it; `delete_before_replace` is for other fixed identifiers.
        """
        keep = stateful and self.ctx.retained
        return pulumi.ResourceOptions(
            parent=parent or self,
            aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)],
            protect=True if keep else None,
            retain_on_delete=True if keep else None,
            depends_on=list(depends_on) if depends_on else None,
            ignore_changes=ignore_changes,
            delete_before_replace=delete_before_replace,
            custom_timeouts=custom_timeouts,
        )
