"""VPC endpoints: which there are, and what each lets through (never every action on every resource)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from components.base import Context

EndpointName = Literal[
    "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "monitoring", "secretsmanager", "sns", "sqs", "ssm"
]

_ECR: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
)
ACTIONS: Final[dict[EndpointName, tuple[str, ...]]] = {
    "ecr.api": _ECR,
    "ecr.dkr": _ECR,
    "ecs": ("ecs:DescribeTasks", "ecs:RunTask", "ecs:StopTask", "ecs:UpdateTaskProtection"),
    "kms": ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
    "logs": ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    "monitoring": ("cloudwatch:PutMetricData",),
    "secretsmanager": ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
    "sns": ("sns:Publish",),
    "sqs": (
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
    ),
    "ssm": ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"),
}


def interface_policy(ctx: Context, name: EndpointName) -> str:
    """The service's everyday actions, for principals of this account."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OwnAccountOnly",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": sorted(ACTIONS[name]),
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:PrincipalAccount": ctx.account_id}},
                }
            ],
        }
    )


def s3_policy(ctx: Context) -> str:
    """The stack's own buckets, and the bucket in which ECR keeps image layers.

    Layers: https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    own = ctx.bucket_arn(f"{ctx.project}-{ctx.stack}-*")
    layers = ctx.bucket_arn(f"prod-{ctx.region}-starport-layer-bucket/*")
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OwnBuckets",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": [
                        "s3:AbortMultipartUpload",
                        "s3:DeleteObject",
                        "s3:GetBucketLocation",
                        "s3:GetObject",
                        "s3:ListBucket",
                        "s3:ListMultipartUploadParts",
                        "s3:PutObject",
                    ],
                    "Resource": [own],
                    "Condition": {"StringEquals": {"aws:PrincipalAccount": ctx.account_id}},
                },
                {
                    "Sid": "ImageLayers",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": ["s3:GetObject"],
                    "Resource": [layers],
                },
            ],
        }
    )


def dynamodb_policy(ctx: Context) -> str:
    """The stack's own tables and their indexes."""
    tables = ctx.arn("dynamodb", f"table/{ctx.project}-{ctx.stack}-*")
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OwnTables",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": [
                        "dynamodb:BatchGetItem",
                        "dynamodb:BatchWriteItem",
                        "dynamodb:ConditionCheckItem",
                        "dynamodb:DeleteItem",
                        "dynamodb:DescribeTable",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:Query",
                        "dynamodb:Scan",
                        "dynamodb:UpdateItem",
                    ],
                    "Resource": [tables],
                    "Condition": {"StringEquals": {"aws:PrincipalAccount": ctx.account_id}},
                }
            ],
        }
    )
