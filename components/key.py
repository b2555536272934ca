"""A KMS key of the stack: rotated, named by an alias that IAM can refer to before the key exists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from components.base import Component

if TYPE_CHECKING:
    from components.base import Context

_USE = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DescribeKey",
]


def key_policy(ctx: Context, services: tuple[str, ...]) -> str:
    """The key policy: the account's IAM decides, and each named AWS service acts for this account only.

    CloudWatch Logs is bound to the stack's log groups by their encryption context:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    statements: list[dict[str, Any]] = [
        {
            "Sid": "AccountDecidesByIam",
            "Effect": "Allow",
            "Principal": {"AWS": ctx.arn("iam", "root", region="")},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
    for service in services:
        logs = service == "logs"
        groups = [ctx.arn("logs", f"log-group:{pattern}") for pattern in _log_groups(ctx)]
        statements.append(
            {
                "Sid": f"Use{service.title().replace('-', '')}",
                "Effect": "Allow",
                "Principal": {
                    "Service": f"logs.{ctx.region}.amazonaws.com" if logs else f"{service}.amazonaws.com"
                },
                "Action": _USE,
                "Resource": "*",
                "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}}
                if logs
                else {"StringEquals": {"aws:SourceAccount": ctx.account_id}},
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _log_groups(ctx: Context) -> tuple[str, ...]:
    """Where logs of the stack go: our own names, and those that RDS and WAF prescribe."""
    own = ctx.name()
    return (
        f"/{ctx.project}/{ctx.stack}/*",
        f"/aws/rds/instance/{own}-*",
        f"aws-waf-logs-{own}-*",
    )


class Key(Component):
    """One customer-managed key ($1 a month) with yearly rotation.

    Deletion waits 7 to 30 days (KMS ScheduleKeyDeletion): 7 in a disposable stack, 30 in a retained one.
    """

    arn: pulumi.Output[str]
    key_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        ctx: Context,
        tier: str,
        purpose: str,
        services: tuple[str, ...] = ("logs",),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`services` are the AWS services that encrypt with the key on their own behalf."""
        super().__init__("key:Key", name, ctx, tier=tier, opts=opts)
        self.alias = ctx.key_alias(purpose)
        self.key = aws.kms.Key(
            name,
            description=f"{ctx.project} {ctx.stack}: {purpose}",
            enable_key_rotation=True,
            deletion_window_in_days=30 if ctx.retained else 7,
            policy=key_policy(ctx, services),
            tags=self.tagged(ctx.name(purpose)),
            opts=self.child(stateful=True),
        )
        self.alias_resource = aws.kms.Alias(
            name, name=self.alias, target_key_id=self.key.key_id, opts=self.child(parent=self.key)
        )
        self.arn = self.key.arn
        self.key_id = self.key.key_id
        self.register_outputs({"arn": self.arn, "alias": self.alias})
