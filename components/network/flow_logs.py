"""Flow logs: who talked to whom, kept encrypted for a while (Security Hub EC2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.links import Statement, policy_document, trust_policy

if TYPE_CHECKING:
    from components.base import Component
    from components.key import Key


def create(owner: Component, name: str, vpc: aws.ec2.Vpc, *, key: Key, days: int) -> aws.ec2.FlowLog:
    """All traffic of the VPC into a log group of its own, written by a role that can do nothing else."""
    ctx = owner.ctx
    group_name = ctx.log_group_name("network", "flow")
    group_arn = ctx.log_group_arn(group_name)
    group = aws.cloudwatch.LogGroup(
        f"{name}-flow",
        name=group_name,
        retention_in_days=days,
        kms_key_id=key.arn,
        tags=owner.tagged(group_name),
        opts=owner.child(depends_on=[key]),
    )
    role_name = ctx.name("flow-logs", limit=64)
    role = aws.iam.Role(
        f"{name}-flow",
        name=role_name,
        assume_role_policy=trust_policy(ctx, "vpc-flow-logs.amazonaws.com", ctx.arn("ec2", "vpc-flow-log/*")),
        tags=owner.tagged(role_name),
        opts=owner.child(),
    )
    write = aws.iam.RolePolicy(
        f"{name}-flow",
        name="write-flow-logs",
        role=role.name,
        policy=policy_document(
            [
                Statement(
                    sid="WriteFlowLogs",
                    actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
                    resources=(f"{group_arn}:*",),
                )
            ]
        ),
        opts=owner.child(),
    )
    return aws.ec2.FlowLog(
        name,
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=600,
        tags=owner.tagged(ctx.name("flow")),
        opts=owner.child(depends_on=[write]),
    )
