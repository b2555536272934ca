"""Controls on whole Pulumi programs, through pulumi-policy's own analyzer; each control's own pair is in test_examples."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from tests.policies.programs import WORLD, Net, unknown
from tests.policies.support import judge


def test_a_queue_without_any_policy_or_key_fails_twice() -> None:
    """The issue's broken stack: an unencrypted queue, named with what to do."""
    judged = judge(lambda: aws.sqs.Queue("jobs", name="jobs"))
    assert judged.of("SLP-ENC-002", "fail") == ["jobs"]
    assert judged.of("SLP-ENC-102", "fail") == ["jobs"]
    assert "give it the stack's KMS key" in judged.blocking("SLP-ENC-002")[0]


def test_world_ingress_is_found_in_all_three_styles() -> None:
    """A rule of its own, the older rule, and a block inside the group."""

    def program() -> None:
        net = Net()
        aws.ec2.SecurityGroupRule(
            "old",
            type="ingress",
            security_group_id=net.group.id,
            protocol="-1",
            from_port=0,
            to_port=0,
            cidr_blocks=[WORLD],
        )
        aws.vpc.SecurityGroupIngressRule(
            "new",
            security_group_id=net.group.id,
            ip_protocol="tcp",
            from_port=80,
            to_port=443,
            cidr_ipv6="::/0",
        )
        aws.ec2.SecurityGroup(
            "inline",
            vpc_id=net.vpc.id,
            ingress=[{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": [WORLD]}],
        )

    assert judge(program).of("SLP-NET-005", "fail") == ["inline", "new", "old"]


def test_a_public_port_on_something_else_than_a_load_balancer_fails_with_the_path() -> None:
    """443 is for load balancers: a service that carries the group is named."""

    def program() -> None:
        net = Net()
        net.service("api", net.private.id)
        aws.vpc.SecurityGroupIngressRule(
            "open",
            security_group_id=net.group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=WORLD,
        )

    finding = judge(program).one("SLP-NET-005", "open")
    assert finding.outcome.value == "fail"
    assert finding.path == ("security group group", "service api")


def test_alias_tokens_are_judged_like_the_ones_they_stand_for() -> None:
    """`aws:alb/…` and the `…V2` resources of S3 are no way around a control."""

    def program() -> None:
        aws.alb.Listener(
            "old-name",
            load_balancer_arn="arn",
            protocol="HTTP",
            default_actions=[{"type": "forward", "target_group_arn": "arn"}],
        )
        aws.s3.BucketV2("second", bucket="b")

    judged = judge(program)
    assert judged.of("SLP-ENC-007", "fail") == ["old-name"]
    assert judged.of("SLP-ENC-101", "fail") == ["second"]


def test_one_unknown_hides_nothing_else() -> None:
    """A control goes on after a resource that it cannot judge."""

    def program() -> None:
        aws.kms.Key("unsure", enable_key_rotation=unknown())
        aws.kms.Key("bad", enable_key_rotation=False)
        net = Net()
        aws.rds.Instance("bad-store", instance_class="c", vpc_security_group_ids=[net.group.id])
        aws.vpc.SecurityGroupIngressRule(
            "rule",
            security_group_id=net.group.id,
            ip_protocol="tcp",
            from_port=5432,
            to_port=5432,
            cidr_ipv4="10.0.0.0/8",
        )
        aws.rds.Instance("unsure-store", instance_class="c", vpc_security_group_ids=["sg-elsewhere"])

    judged = judge(program)
    assert judged.of("SLP-ENC-005", "fail") == ["bad"]
    assert judged.of("SLP-ENC-005", "undecided") == ["unsure"]
    assert judged.of("SLP-NET-006", "fail") == ["bad-store"]
    assert judged.of("SLP-NET-006", "undecided") == ["unsure-store"]


def test_log_buckets_may_use_the_key_of_s3() -> None:
    """Load balancers cannot write under a customer key: only the bucket that takes their logs may."""

    def program() -> None:
        logs = aws.s3.Bucket("logs", bucket="logs")
        data = aws.s3.Bucket("data", bucket="data")
        for name, bucket in (("logs", logs), ("data", data)):
            aws.s3.BucketServerSideEncryptionConfiguration(
                name,
                bucket=bucket.bucket,
                rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            )
        aws.s3.BucketLogging("data", bucket=data.bucket, target_bucket=logs.bucket, target_prefix="s3/")

    judged = judge(program)
    assert judged.of("SLP-ENC-101", "pass") == ["logs"]
    assert judged.of("SLP-ENC-101", "fail") == ["data"]


def test_a_secret_never_reaches_a_message() -> None:
    """Controls see secrets in plain text; what they say must not."""

    def program() -> None:
        password = pulumi.Output.secret("hunter2-hunter2-hunter2")
        aws.ssm.Parameter("p", name="/p", type="String", value=password)
        aws.elasticache.ReplicationGroup("c", description="d", auth_token=password)
        aws.rds.Instance("d", instance_class="c", password=password, publicly_accessible=True)

    judged = judge(program)
    assert judged.of("SLP-ENC-003", "fail") == ["p"]
    said = [each.message for each in judged.diagnostics] + [each.text() for each in judged.findings]
    assert [line for line in said if "hunter2" in line] == []
