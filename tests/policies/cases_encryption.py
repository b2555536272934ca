# ruff: noqa: D103  a helper here is its name: the program that it writes
"""For each control of encryption: a violating, a compliant and an unknown program; the judged name is `it`."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.programs import unknown

KEY = "arn:aws:kms:us-east-1:111111111111:key/1"
TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def database(**given: Any) -> aws.rds.Instance:
    return aws.rds.Instance("it", instance_class="db.t4g.micro", engine="postgres", **given)


def parameter(**given: Any) -> None:
    aws.ssm.Parameter("it", name="/p", **given)


def repository(kind: Any) -> None:
    aws.ecr.Repository("it", encryption_configurations=[{"encryption_type": kind, "kms_key": KEY}])


def cache(**given: Any) -> None:
    aws.elasticache.ReplicationGroup(
        "it",
        description="cache",
        **{
            "transit_encryption_enabled": True,
            "transit_encryption_mode": "required",
            "auth_token": pulumi.Output.secret("correct-horse-battery"),
            **given,
        },
    )


def listener(protocol: Any, action: Any, **given: Any) -> None:
    aws.lb.Listener("it", load_balancer_arn="arn", protocol=protocol, default_actions=[action], **given)


FORWARD = {"type": "forward", "target_group_arn": "arn"}


def redirect(protocol: Any) -> dict[str, Any]:
    return {"type": "redirect", "redirect": {"protocol": protocol, "status_code": "HTTP_301"}}


def function(**given: Any) -> None:
    aws.lambda_.Function("it", role="r", environment={"variables": {"A": "b"}}, **given)


def template(encrypted: Any) -> None:
    aws.ec2.LaunchTemplate(
        "it", block_device_mappings=[{"device_name": "/dev/xvda", "ebs": {"encrypted": encrypted}}]
    )


def efs(transit: Any) -> None:
    aws.ecs.TaskDefinition(
        "it",
        family="f",
        container_definitions="[]",
        volumes=[
            {"name": "v", "efs_volume_configuration": {"file_system_id": "fs", "transit_encryption": transit}}
        ],
    )


def proxy(tls: Any) -> None:
    aws.rds.Proxy(
        "it", auths=[], engine_family="POSTGRESQL", role_arn="r", vpc_subnet_ids=[], require_tls=tls
    )


def bucket(algorithm: Any, key: Any) -> None:
    made = aws.s3.Bucket("it", bucket="b")
    aws.s3.BucketServerSideEncryptionConfiguration(
        "sse",
        bucket=made.bucket,
        rules=[
            {
                "apply_server_side_encryption_by_default": {
                    "sse_algorithm": algorithm,
                    "kms_master_key_id": key,
                },
                "bucket_key_enabled": True,
            }
        ],
    )


def deny(actions: Any, **condition: Any) -> str:
    """A policy that refuses these actions."""
    conditions = condition or {"Bool": {"aws:SecureTransport": "false"}}
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": "*",
        "Condition": conditions,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def queue(policy: Any) -> None:
    made = aws.sqs.Queue("it", name="q", kms_master_key_id=KEY)
    aws.sqs.QueuePolicy("policy", queue_url=made.id, policy=policy)


def forced(value: Any) -> None:
    group = aws.rds.ParameterGroup(
        "group", name="pg", family="postgres17", parameters=[{"name": "rds.force_ssl", "value": value}]
    )
    database(parameter_group_name=group.name)


CASES: dict[str, tuple[Any, Any, Any, str]] = {
    "SLP-ENC-001": (
        lambda: database(storage_encrypted=False),
        lambda: database(storage_encrypted=True),
        lambda: database(storage_encrypted=unknown()),
        "undecided",
    ),
    # a key's ARN is unknown until the key exists; that one is named is known
    "SLP-ENC-002": (
        lambda: aws.sqs.Queue("it", name="q"),
        lambda: aws.sqs.Queue("it", name="q", kms_master_key_id=KEY),
        lambda: aws.sqs.Queue("it", name="q", kms_master_key_id=unknown()),
        "pass",
    ),
    "SLP-ENC-003": (
        lambda: parameter(type="String", value="v"),
        lambda: parameter(type="SecureString", value="v", key_id=KEY),
        lambda: parameter(type=unknown(), value="v"),
        "undecided",
    ),
    "SLP-ENC-004": (
        lambda: repository("AES256"),
        lambda: repository("KMS"),
        lambda: aws.ecr.Repository("it", encryption_configurations=unknown()),
        "undecided",
    ),
    "SLP-ENC-005": (
        lambda: aws.kms.Key("it", enable_key_rotation=False),
        lambda: aws.kms.Key("it", enable_key_rotation=True),
        lambda: aws.kms.Key("it", enable_key_rotation=unknown()),
        "undecided",
    ),
    "SLP-ENC-006": (
        lambda: cache(transit_encryption_mode="preferred"),
        cache,
        lambda: cache(transit_encryption_enabled=unknown()),
        "undecided",
    ),
    "SLP-ENC-007": (
        lambda: listener("HTTP", FORWARD),
        lambda: listener("HTTP", redirect("HTTPS")),
        lambda: listener(unknown(), FORWARD),
        "undecided",
    ),
    "SLP-ENC-008": (
        lambda: listener("HTTPS", FORWARD, ssl_policy="ELBSecurityPolicy-2016-08"),
        lambda: listener("HTTPS", FORWARD, ssl_policy=TLS),
        lambda: listener("HTTPS", FORWARD, ssl_policy=unknown()),
        "undecided",
    ),
    "SLP-ENC-009": (
        function,
        lambda: function(kms_key_arn=KEY),
        lambda: function(kms_key_arn=unknown()),
        "pass",
    ),
    "SLP-ENC-010": (
        lambda: template("false"),
        lambda: template("true"),
        lambda: template(unknown()),
        "undecided",
    ),
    "SLP-ENC-011": (
        lambda: efs("DISABLED"),
        lambda: efs("ENABLED"),
        lambda: aws.ecs.TaskDefinition("it", family="f", container_definitions="[]", volumes=unknown()),
        "undecided",
    ),
    "SLP-ENC-012": (lambda: proxy(False), lambda: proxy(True), lambda: proxy(unknown()), "undecided"),
    "SLP-ENC-013": (
        lambda: database(performance_insights_enabled=True),
        lambda: database(performance_insights_enabled=True, performance_insights_kms_key_id=KEY),
        lambda: database(performance_insights_enabled=unknown()),
        "undecided",
    ),
    "SLP-ENC-101": (
        lambda: bucket("AES256", None),
        lambda: bucket("aws:kms", unknown()),
        lambda: bucket(unknown(), None),
        "undecided",
    ),
    "SLP-ENC-102": (
        lambda: queue(deny("sqs:SendMessage")),
        lambda: queue(deny("sqs:*")),
        lambda: queue(unknown()),
        "undecided",
    ),
    "SLP-ENC-103": (lambda: forced("0"), lambda: forced("1"), lambda: forced(unknown()), "undecided"),
}
