"""Small programs of which each shows one thing, for the tests of the controls."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

WORLD = "0.0.0.0/0"


def unknown() -> pulumi.Output[Any]:
    """A value that no preview knows: the ARN of something that does not exist yet."""
    return aws.iam.Role("source", assume_role_policy="{}").arn


class Net:
    """A VPC with a public subnet, a private one (through a NAT) and one without a table of its own."""

    def __init__(self) -> None:
        self.vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
        self.gateway = aws.ec2.InternetGateway("igw", vpc_id=self.vpc.id)
        self.public, self.public_table = self._subnet("public")
        self.private, self.private_table = self._subnet("private")
        self.bare = aws.ec2.Subnet("bare", vpc_id=self.vpc.id, cidr_block="10.0.9.0/24")
        aws.ec2.Route(
            "out",
            route_table_id=self.public_table.id,
            destination_cidr_block=WORLD,
            gateway_id=self.gateway.id,
        )
        nat = aws.ec2.NatGateway("nat", subnet_id=self.public.id)
        aws.ec2.Route(
            "through-nat",
            route_table_id=self.private_table.id,
            destination_cidr_block=WORLD,
            nat_gateway_id=nat.id,
        )
        self.group = aws.ec2.SecurityGroup("group", vpc_id=self.vpc.id)

    def _subnet(self, name: str) -> tuple[aws.ec2.Subnet, aws.ec2.RouteTable]:
        subnet = aws.ec2.Subnet(name, vpc_id=self.vpc.id, cidr_block="10.0.1.0/24")
        table = aws.ec2.RouteTable(f"{name}-table", vpc_id=self.vpc.id)
        aws.ec2.RouteTableAssociation(f"{name}-link", subnet_id=subnet.id, route_table_id=table.id)
        return subnet, table

    def service(self, name: str, *subnets: Any, public_ip: Any = False) -> aws.ecs.Service:
        """An ECS service in these subnets."""
        return aws.ecs.Service(
            name,
            name=name,
            cluster="cluster",
            desired_count=1,
            task_definition="family:1",
            network_configuration={
                "subnets": list(subnets),
                "security_groups": [self.group.id],
                "assign_public_ip": public_ip,
            },
        )
