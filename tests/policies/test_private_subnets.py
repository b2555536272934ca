"""The whole-graph proof of private subnets, for every kind of thing that can be put into one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from policies.controls.private_subnets import ATTACHMENTS
from tests.policies.programs import Net, unknown
from tests.policies.support import judge

ID = "SLP-NET-001"


def test_a_service_in_a_public_subnet_fails_with_the_path() -> None:
    """The issue's broken stack: the message walks from the service to the internet gateway, and says the way out."""

    def program() -> None:
        net = Net()
        net.service("bad", net.public.id)
        net.service("good", net.private.id)

    judged = judge(program)
    assert judged.of(ID, "fail") == ["bad"]
    assert judged.of(ID, "pass") == ["good"]
    finding = judged.one(ID, "bad")
    assert finding.path == (
        "service bad",
        "subnet public",
        "route table public-table",
        "route out",
        "internet gateway igw",
    )
    blocking = judged.blocking(ID)
    assert len(blocking) == 1
    assert (
        "service bad → subnet public → route table public-table → route out → internet gateway igw"
        in blocking[0]
    )
    assert "fix: pass the network's private (or isolated) subnets" in blocking[0]


def test_one_public_subnet_among_private_ones_is_enough_to_fail() -> None:
    """A service spread over subnets is as public as its most public one."""
    assert judge(_mixed).of(ID, "fail") == ["mixed"]


def _mixed() -> None:
    net = Net()
    net.service("mixed", net.private.id, net.public.id)


def test_a_subnet_without_a_route_table_of_its_own_is_undecided() -> None:
    """The VPC's main table decides then, and the graph does not hold it."""

    def program() -> None:
        net = Net()
        net.service("unsure", net.bare.id)

    judged = judge(program)
    assert judged.of(ID, "undecided") == ["unsure"]
    assert "main table" in judged.one(ID, "unsure").message


def test_subnets_of_another_stack_are_undecided_until_they_are_trusted() -> None:
    """A literal id leads nowhere in the graph; the configuration may vouch for it."""

    def program() -> None:
        net = Net()
        net.service("guest", "subnet-0123")

    assert judge(program).of(ID, "undecided") == ["guest"]
    trusted = judge(program, settings={"relations": {"trustedSubnets": ["subnet-0123"]}})
    assert trusted.of(ID, "pass") == ["guest"]


def test_undecided_blocks_or_is_reported_as_configured() -> None:
    """Strict stacks stop on what cannot be proved; others show it."""

    def program() -> None:
        net = Net()
        net.service("unsure", net.bare.id)

    strict = judge(program)
    assert len(strict.blocking(ID)) == 1
    lenient = judge(program, settings={"relations": {"undecided": "report"}})
    assert lenient.blocking(ID) == []
    assert lenient.of(ID, "undecided") == ["unsure"]


def test_an_inline_route_to_the_gateway_makes_a_subnet_public() -> None:
    """Inline routes are walked too, though another control forbids them."""

    def program() -> None:
        net = Net()
        table = aws.ec2.RouteTable(
            "inline", vpc_id=net.vpc.id, routes=[{"cidr_block": "0.0.0.0/0", "gateway_id": net.gateway.id}]
        )
        subnet = aws.ec2.Subnet("inline", vpc_id=net.vpc.id, cidr_block="10.0.7.0/24")
        aws.ec2.RouteTableAssociation("inline", subnet_id=subnet.id, route_table_id=table.id)
        net.service("bad", subnet.id)

    judged = judge(program)
    assert judged.of(ID, "fail") == ["bad"]
    assert judged.of("SLP-NET-009", "fail") == ["inline"]


def test_a_public_load_balancer_belongs_in_public_subnets_and_an_internal_one_does_not() -> None:
    """What the internet is meant to reach is not judged by this control."""

    def program() -> None:
        net = Net()
        aws.lb.LoadBalancer("front", internal=False, subnets=[net.public.id])
        aws.lb.LoadBalancer("inner", internal=True, subnets=[net.public.id])

    judged = judge(program)
    assert judged.of(ID, "fail") == ["inner"]
    assert judged.of(ID, "pass") == []


def test_what_the_provider_will_compute_leaves_nothing_undecided() -> None:
    """A real preview shows inputs that were not given as unknown outputs: they are nothing the program said."""

    def program() -> None:
        net = Net()
        net.service("good", net.private.id)
        aws.sqs.Queue("jobs", name="jobs", kms_master_key_id="arn:aws:kms:us-east-1:1:key/1")

    computed = {
        "aws:ec2/routeTable:RouteTable": ["routes"],
        "aws:ec2/securityGroup:SecurityGroup": ["ingress", "egress"],
        "aws:sqs/queue:Queue": ["policy"],
    }
    judged = judge(program, computed=computed)
    assert judged.of(ID, "pass") == ["good"]
    assert judged.of("SLP-NET-005", "undecided") == []
    assert judged.of("SLP-ENC-102", "fail") == ["jobs"]
    assert [
        each
        for each in judged.findings
        if each.outcome.value == "undecided" and each.control.family != "budget"
    ] == []


def test_ingress_that_is_given_and_not_known_is_undecided_for_its_group_alone() -> None:
    """The other groups are judged on."""

    def program() -> None:
        net = Net()
        aws.ec2.SecurityGroup("unsure", vpc_id=net.vpc.id, ingress=unknown())
        aws.ec2.SecurityGroup(
            "open",
            vpc_id=net.vpc.id,
            ingress=[{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}],
        )

    judged = judge(program)
    assert judged.of("SLP-NET-005", "undecided") == ["unsure"]
    assert judged.of("SLP-NET-005", "fail") == ["open"]


def _make(type_: str, subnet: Any) -> pulumi.Resource:
    """One resource of a type, named `it`, in a subnet."""
    made: dict[str, Callable[[], pulumi.Resource]] = {
        "aws:autoscaling/group:Group": lambda: aws.autoscaling.Group(
            "it", max_size=1, min_size=0, vpc_zone_identifiers=[subnet]
        ),
        "aws:batch/computeEnvironment:ComputeEnvironment": lambda: aws.batch.ComputeEnvironment(
            "it",
            type="MANAGED",
            compute_resources={
                "max_vcpus": 1,
                "subnets": [subnet],
                "security_group_ids": [],
                "type": "FARGATE",
            },
        ),
        "aws:cloudwatch/eventTarget:EventTarget": lambda: aws.cloudwatch.EventTarget(
            "it",
            arn="arn:aws:ecs:us-east-1:1:cluster/c",
            rule="r",
            ecs_target={"task_definition_arn": "t", "network_configuration": {"subnets": [subnet]}},
        ),
        "aws:docdb/subnetGroup:SubnetGroup": lambda: aws.docdb.SubnetGroup("it", subnet_ids=[subnet]),
        "aws:ec2/instance:Instance": lambda: aws.ec2.Instance("it", subnet_id=subnet),
        "aws:ec2/vpcEndpoint:VpcEndpoint": lambda: aws.ec2.VpcEndpoint(
            "it", service_name="s", vpc_id="vpc-1", vpc_endpoint_type="Interface", subnet_ids=[subnet]
        ),
        "aws:ecs/service:Service": lambda: aws.ecs.Service(
            "it", network_configuration={"subnets": [subnet]}, task_definition="t"
        ),
        "aws:ecs/taskSet:TaskSet": lambda: aws.ecs.TaskSet(
            "it", cluster="c", service="s", task_definition="t", network_configuration={"subnets": [subnet]}
        ),
        "aws:efs/mountTarget:MountTarget": lambda: aws.efs.MountTarget(
            "it", file_system_id="f", subnet_id=subnet
        ),
        "aws:elasticache/subnetGroup:SubnetGroup": lambda: aws.elasticache.SubnetGroup(
            "it", subnet_ids=[subnet]
        ),
        "aws:lambda/function:Function": lambda: aws.lambda_.Function(
            "it", role="r", vpc_config={"subnet_ids": [subnet], "security_group_ids": []}
        ),
        "aws:lambda/invocation:Invocation": lambda: aws.lambda_.Invocation(
            "it", function_name="f", input=pulumi.Output.json_dumps({"subnets": [subnet]})
        ),
        "aws:lb/loadBalancer:LoadBalancer": lambda: aws.lb.LoadBalancer(
            "it", internal=True, subnets=[subnet]
        ),
        "aws:memorydb/subnetGroup:SubnetGroup": lambda: aws.memorydb.SubnetGroup("it", subnet_ids=[subnet]),
        "aws:opensearch/domain:Domain": lambda: aws.opensearch.Domain(
            "it", vpc_options={"subnet_ids": [subnet]}
        ),
        "aws:rds/proxy:Proxy": lambda: aws.rds.Proxy(
            "it",
            auths=[],
            engine_family="POSTGRESQL",
            role_arn="r",
            vpc_subnet_ids=[subnet],
            require_tls=True,
        ),
        "aws:rds/subnetGroup:SubnetGroup": lambda: aws.rds.SubnetGroup("it", subnet_ids=[subnet]),
        "aws:redshift/subnetGroup:SubnetGroup": lambda: aws.redshift.SubnetGroup("it", subnet_ids=[subnet]),
        "aws:scheduler/schedule:Schedule": lambda: aws.scheduler.Schedule(
            "it",
            schedule_expression="rate(1 day)",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": "a",
                "role_arn": "r",
                "ecs_parameters": {
                    "task_definition_arn": "t",
                    "network_configuration": {"subnets": [subnet]},
                },
            },
        ),
        "aws:synthetics/canary:Canary": lambda: aws.synthetics.Canary(
            "it",
            artifact_s3_location="s3://b/",
            execution_role_arn="r",
            handler="h",
            runtime_version="v",
            schedule={"expression": "rate(5 minutes)"},
            vpc_config={"subnet_ids": [subnet], "security_group_ids": []},
        ),
    }
    return made[type_]()


LOOSE = (
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:lambda/invocation:Invocation",
    "aws:scheduler/schedule:Schedule",
)


@pytest.mark.parametrize("type_", sorted(ATTACHMENTS))
def test_every_attachment_type_is_judged(type_: str) -> None:
    """Each type fails in a public subnet, passes in a private one, and is undecided in an unknown one."""
    outcomes: dict[str, list[str]] = {}
    for case in ("public", "private", "unknown"):

        def program(case: str = case) -> None:
            net = Net()
            subnet = {"public": net.public.id, "private": net.private.id}.get(case)
            _make(type_, subnet if subnet is not None else unknown())

        judged = judge(program)
        outcomes[case] = [name for name in ("fail", "pass", "undecided") if judged.of(ID, name) == ["it"]]
    assert outcomes["public"] == ["fail"]
    assert outcomes["private"] == ["pass"]
    # these may be about anything: without a subnet behind them they are no workload in one
    assert outcomes["unknown"] == ([] if type_ in LOOSE else ["undecided"])
