"""The ECS cluster of a stack: Fargate only, watched, with an encrypted log of every command run in a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.base import Component
from components.names import LIMITS

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.key import Key


class Cluster(Component):
    """Container Insights on (ECS.12); sessions of ECS Exec, off by default, would be logged encrypted.

    Container Insights bills its metrics as custom ones, about $0.30 each a month up to 10,000:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-container-insights-pricing.html
    """

    def __init__(
        self,
        name: str,
        *,
        ctx: Context,
        tier: str,
        key: Key,
        log_retention_days: int = 30,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`key` encrypts the session logs."""
        super().__init__("service:Cluster", name, ctx, tier=tier, opts=opts)
        self.cluster_name = ctx.name(name, limit=LIMITS["cluster"])
        self.arn = ctx.arn("ecs", f"cluster/{self.cluster_name}")
        self.exec_log_group_name = ctx.log_group_name(tier, f"{name}-exec")
        logs = aws.cloudwatch.LogGroup(
            f"{name}-exec",
            name=self.exec_log_group_name,
            retention_in_days=log_retention_days,
            kms_key_id=key.arn,
            tags=self.tagged(self.exec_log_group_name),
            opts=self.child(depends_on=[key]),
        )
        self.cluster = aws.ecs.Cluster(
            name,
            name=self.cluster_name,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")],
            configuration=aws.ecs.ClusterConfigurationArgs(
                execute_command_configuration=aws.ecs.ClusterConfigurationExecuteCommandConfigurationArgs(
                    kms_key_id=key.arn,
                    logging="OVERRIDE",
                    log_configuration=aws.ecs.ClusterConfigurationExecuteCommandConfigurationLogConfigurationArgs(
                        cloud_watch_encryption_enabled=True,
                        cloud_watch_log_group_name=self.exec_log_group_name,
                    ),
                )
            ),
            tags=self.tagged(self.cluster_name),
            opts=self.child(depends_on=[logs]),
        )
        self.register_outputs({"arn": self.arn})
