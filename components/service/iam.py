"""Roles of containers: what the agent needs to start them, and what the app itself may do, kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.links import Statement, kms_statement, policy_document
from components.names import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.base import Component, Context
    from components.links import Link
    from components.service.image import Image


def execution_statements(ctx: Context, image: Image, link: Link, log_group_arn: str) -> list[Statement]:
    """What ECS itself does before the app runs: pull the image, open the log stream, read the secrets."""
    statements = [
        Statement(
            sid="WriteLogs",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(f"{log_group_arn}:*",),
        )
    ]
    if image.repository_arn is not None:
        statements += [
            Statement(
                sid="PullImage",
                actions=(
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ),
                resources=(image.repository_arn,),
            ),
            # The one action of ECR without resources; the region bounds it.
            Statement(
                sid="LogInToRegistry",
                actions=("ecr:GetAuthorizationToken",),
                resources=("*",),
                conditions={"StringEquals": {"aws:RequestedRegion": ctx.region}},
            ),
        ]
    if link.secrets:
        statements.append(
            Statement(
                sid="ReadParameters",
                actions=("ssm:GetParameters",),
                resources=tuple(sorted(set(link.secrets.values()))),
            )
        )
    statements += [
        kms_statement(ctx, f"DecryptParameters{index}", alias=alias, actions=["kms:Decrypt"], via="ssm")
        for index, alias in enumerate(link.kms_aliases, start=1)
    ]
    return statements


def make_role(
    owner: Component,
    name: str,
    purpose: str,
    *,
    trust_policy: str,
    statements: Sequence[Statement],
) -> tuple[aws.iam.Role, list[aws.iam.RolePolicy]]:
    """A role with a computed name and, where there is something to allow, one inline policy."""
    ctx = owner.ctx
    role_name = role_name_of(ctx, name, purpose)
    role = aws.iam.Role(
        f"{name}-{purpose}",
        name=role_name,
        assume_role_policy=trust_policy,
        tags=owner.tagged(role_name),
        opts=owner.child(),
    )
    if not statements:
        return role, []
    policy = aws.iam.RolePolicy(
        f"{name}-{purpose}",
        name=purpose,
        role=role.name,
        policy=policy_document(statements),
        opts=owner.child(),
    )
    return role, [policy]


def role_name_of(ctx: Context, name: str, purpose: str) -> str:
    """`slipway-dev-api-task`, within IAM's 64 characters."""
    return ctx.name(name, limit=LIMITS["role"], suffix=purpose)
