# ruff: noqa: D103  a helper here is its name: the program that it writes
"""For each control of the private network: a violating, a compliant and an unknown program; the judged name is `it`."""

from __future__ import annotations

from typing import Any

import pulumi_aws as aws

from tests.policies.programs import WORLD, Net, unknown


def subnet(value: Any) -> None:
    aws.ec2.Subnet("it", vpc_id="vpc-1", cidr_block="10.0.0.0/24", map_public_ip_on_launch=value)


def service_address(value: Any) -> None:
    Net().service("it", "subnet-1", public_ip=value)


def database_public(value: Any) -> None:
    aws.rds.Instance("it", instance_class="db.t4g.micro", publicly_accessible=value)


def ingress(cidr: Any, port: int) -> None:
    """A rule of a group that a load balancer carries."""
    net = Net()
    aws.lb.LoadBalancer("front", internal=False, subnets=[net.public.id], security_groups=[net.group.id])
    aws.vpc.SecurityGroupIngressRule(
        "it", security_group_id=net.group.id, cidr_ipv4=cidr, ip_protocol="tcp", from_port=port, to_port=port
    )


def store_ingress(**source: Any) -> None:
    net = Net()
    aws.vpc.SecurityGroupIngressRule(
        "rule", security_group_id=net.group.id, ip_protocol="tcp", from_port=5432, to_port=5432, **source
    )
    aws.rds.Instance("it", instance_class="db.t4g.micro", vpc_security_group_ids=[net.group.id])


def store_of_strangers() -> None:
    aws.rds.Instance("it", instance_class="db.t4g.micro", vpc_security_group_ids=["sg-elsewhere"])


def default_group(rules: Any) -> None:
    vpc = aws.ec2.Vpc("it", cidr_block="10.0.0.0/16")
    aws.ec2.DefaultSecurityGroup("default", vpc_id=vpc.id, ingress=rules, egress=[])


def flow_log(traffic: Any) -> None:
    vpc = aws.ec2.Vpc("it", cidr_block="10.0.0.0/16")
    aws.ec2.FlowLog("log", vpc_id=vpc.id, traffic_type=traffic, log_destination="arn:aws:logs:x")


def route_table(routes: Any) -> None:
    aws.ec2.RouteTable("it", vpc_id="vpc-1", routes=routes)


def acl(cidr: Any, port: int = 22) -> None:
    aws.ec2.NetworkAclRule(
        "it",
        network_acl_id="acl-1",
        rule_number=100,
        protocol="tcp",
        rule_action="allow",
        egress=False,
        cidr_block=cidr,
        from_port=port,
        to_port=port,
    )


def task_network(mode: Any) -> None:
    aws.ecs.TaskDefinition("it", family="f", container_definitions="[]", network_mode=mode)


def public_block(flag: Any) -> None:
    bucket = aws.s3.Bucket("it", bucket="b")
    aws.s3.BucketPublicAccessBlock(
        "block",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=flag,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )


# control: (violating, compliant, unknown, the outcome of the unknown)
CASES: dict[str, tuple[Any, Any, Any, str]] = {
    "SLP-NET-002": (lambda: subnet(True), lambda: subnet(False), lambda: subnet(unknown()), "undecided"),
    "SLP-NET-003": (
        lambda: service_address(True),
        lambda: service_address(False),
        lambda: service_address(unknown()),
        "undecided",
    ),
    "SLP-NET-004": (
        lambda: database_public(True),
        lambda: database_public(False),
        lambda: database_public(unknown()),
        "undecided",
    ),
    "SLP-NET-005": (
        lambda: ingress(WORLD, 22),
        lambda: ingress(WORLD, 443),
        lambda: ingress(unknown(), 443),
        "undecided",
    ),
    "SLP-NET-006": (
        lambda: store_ingress(cidr_ipv4="10.0.0.0/8"),
        lambda: store_ingress(referenced_security_group_id="sg-caller"),
        store_of_strangers,
        "undecided",
    ),
    "SLP-NET-007": (
        lambda: default_group([{"from_port": 0, "to_port": 0, "protocol": "-1", "self": True}]),
        lambda: default_group([]),
        lambda: default_group(unknown()),
        "undecided",
    ),
    "SLP-NET-008": (
        lambda: flow_log("REJECT"),
        lambda: flow_log("ALL"),
        lambda: flow_log(unknown()),
        "undecided",
    ),
    # that routes are given inline is known even while they are not
    "SLP-NET-009": (
        lambda: route_table([{"cidr_block": WORLD, "gateway_id": "igw-1"}]),
        lambda: route_table([]),
        lambda: route_table(unknown()),
        "fail",
    ),
    "SLP-NET-010": (lambda: acl(WORLD), lambda: acl("10.0.0.0/8"), lambda: acl(unknown()), "undecided"),
    "SLP-NET-011": (
        lambda: task_network("bridge"),
        lambda: task_network("awsvpc"),
        lambda: task_network(unknown()),
        "undecided",
    ),
    "SLP-NET-012": (
        lambda: public_block(False),
        lambda: public_block(True),
        lambda: public_block(unknown()),
        "undecided",
    ),
}
