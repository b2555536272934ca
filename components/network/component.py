"""The VPC with pulumi-aws directly, so that "this is in a private subnet" can be proved before it exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.base import Component
from components.network import acls, endpoints, flow_logs, plan

if TYPE_CHECKING:
    from components.base import Context
    from components.key import Key
    from components.network.config import NetworkConfig


class Network(Component):
    """Subnets by a fixed plan; routes and associations are resources of their own, never inline.

    Each subnet has its own route table, so that the route to the internet gateway or the NAT can be walked
    from a subnet over property dependencies, and a new zone touches nothing that exists.
    Quotas: 5 VPCs, 5 elastic IPs and 5 NAT gateways per zone and region, 200 route tables per VPC
    (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
    """

    vpc_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        config: NetworkConfig,
        *,
        ctx: Context,
        key: Key,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`key` encrypts the flow logs."""
        super().__init__("network:Network", name, ctx, tier="network", opts=opts)
        self.config = config
        self.cidr = config.cidr
        self.zones = [f"{ctx.region}{zone}" for zone in config.zones]
        self._key = key
        self.vpc = aws.ec2.Vpc(
            name,
            cidr_block=config.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self.tagged(ctx.name("vpc")),
            opts=self.child(),
        )
        self.vpc_id = self.vpc.id
        self._subnets: dict[str, aws.ec2.Subnet] = {}
        self._tables: dict[str, aws.ec2.RouteTable] = {}
        for planned in plan.subnets(config.cidr, config.zones, config.kinds):
            self._subnet(planned)
        if "public" in config.kinds:
            self._public_routes()
        if "private" in config.kinds:
            self._private_routes()
        for kind in config.kinds:
            self._acl(kind)
        self._lock_default_group()
        self.flow_log = flow_logs.create(self, name, self.vpc, key=key, days=config.flow_log_retention_days)
        self.endpoint_security_group_id = self._endpoints()
        self.public_subnet_ids = self._ids("public")
        self.private_subnet_ids = self._ids("private")
        self.isolated_subnet_ids = self._ids("isolated")
        self.register_outputs(
            {
                "vpcId": self.vpc_id,
                "publicSubnetIds": self.public_subnet_ids,
                "privateSubnetIds": self.private_subnet_ids,
                "isolatedSubnetIds": self.isolated_subnet_ids,
            }
        )

    def _ids(self, kind: plan.SubnetKind) -> list[pulumi.Output[str]]:
        if kind not in self.config.kinds:
            return []
        return [self._subnets[f"{kind}-{zone}"].id for zone in self.config.zones]

    def _subnet(self, planned: plan.PlannedSubnet) -> None:
        """A subnet, its route table and their association."""
        ctx, logical = self.ctx, f"{self.name}-{planned.name}"
        tags = self.tagged(ctx.name(planned.name), kind=planned.kind)
        subnet = aws.ec2.Subnet(
            logical,
            vpc_id=self.vpc.id,
            cidr_block=planned.cidr,
            availability_zone=f"{ctx.region}{planned.zone}",
            map_public_ip_on_launch=False,
            tags=tags,
            opts=self.child(),
        )
        table = aws.ec2.RouteTable(logical, vpc_id=self.vpc.id, tags=tags, opts=self.child())
        aws.ec2.RouteTableAssociation(
            logical, subnet_id=subnet.id, route_table_id=table.id, opts=self.child()
        )
        self._subnets[planned.name] = subnet
        self._tables[planned.name] = table

    def _public_routes(self) -> None:
        """Public subnets reach the internet gateway."""
        gateway = aws.ec2.InternetGateway(
            self.name, vpc_id=self.vpc.id, tags=self.tagged(self.ctx.name("internet")), opts=self.child()
        )
        self.internet_gateway = gateway
        for zone in self.config.zones:
            aws.ec2.Route(
                f"{self.name}-public-{zone}",
                route_table_id=self._tables[f"public-{zone}"].id,
                destination_cidr_block=acls.WORLD,
                gateway_id=gateway.id,
                opts=self.child(),
            )

    def _private_routes(self) -> None:
        """Private subnets reach the world through a NAT: their zone's, or the first zone's."""
        per_zone = self.config.nat == "per_zone"
        nats: dict[str, aws.ec2.NatGateway] = {}
        for zone in self.config.zones if per_zone else self.config.zones[:1]:
            tags = self.tagged(self.ctx.name("nat", zone))
            address = aws.ec2.Eip(f"{self.name}-nat-{zone}", domain="vpc", tags=tags, opts=self.child())
            nats[zone] = aws.ec2.NatGateway(
                f"{self.name}-nat-{zone}",
                allocation_id=address.id,
                subnet_id=self._subnets[f"public-{zone}"].id,
                tags=tags,
                # AWS refuses a public NAT in a VPC whose gateway is not attached yet
                opts=self.child(depends_on=[self.internet_gateway]),
            )
        for zone in self.config.zones:
            aws.ec2.Route(
                f"{self.name}-private-{zone}",
                route_table_id=self._tables[f"private-{zone}"].id,
                destination_cidr_block=acls.WORLD,
                nat_gateway_id=nats[plan.nat_zone(zone, self.config.zones, per_zone=per_zone)].id,
                opts=self.child(),
            )

    def _acl(self, kind: plan.SubnetKind) -> None:
        """One network ACL per kind; rules and associations are resources of their own."""
        logical = f"{self.name}-{kind}"
        acl = aws.ec2.NetworkAcl(
            logical, vpc_id=self.vpc.id, tags=self.tagged(self.ctx.name(kind)), opts=self.child()
        )
        for rule in acls.rules(kind, self.config.cidr):
            icmp = rule.protocol == "icmp"
            aws.ec2.NetworkAclRule(
                f"{logical}-{rule.name}",
                network_acl_id=acl.id,
                rule_number=rule.number,
                egress=rule.egress,
                protocol=rule.protocol,
                rule_action="allow",
                cidr_block=rule.cidr,
                from_port=rule.from_port,
                to_port=rule.to_port,
                icmp_type=3 if icmp else None,
                icmp_code=4 if icmp else None,
                opts=self.child(),
            )
        for zone in self.config.zones:
            aws.ec2.NetworkAclAssociation(
                f"{logical}-{zone}",
                network_acl_id=acl.id,
                subnet_id=self._subnets[f"{kind}-{zone}"].id,
                opts=self.child(),
            )

    def _lock_default_group(self) -> None:
        """The default security group loses its rules (Security Hub EC2.2)."""
        aws.ec2.DefaultSecurityGroup(
            f"{self.name}-default",
            vpc_id=self.vpc.id,
            ingress=[],
            egress=[],
            tags=self.tagged(self.ctx.name("default-locked")),
            opts=self.child(),
        )

    def _endpoints(self) -> pulumi.Output[str] | None:
        """Gateway endpoints always, interface endpoints as listed; the id of the latter's security group."""
        inner = [table for name, table in self._tables.items() if not name.startswith("public-")]
        policies = {"s3": endpoints.s3_policy(self.ctx), "dynamodb": endpoints.dynamodb_policy(self.ctx)}
        for service, policy in policies.items():
            aws.ec2.VpcEndpoint(
                f"{self.name}-{service}",
                vpc_id=self.vpc.id,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{self.ctx.region}.{service}",
                route_table_ids=[table.id for table in inner],
                policy=policy,
                tags=self.tagged(self.ctx.name(service)),
                opts=self.child(),
            )
        if not self.config.endpoints:
            return None
        group = self._endpoint_group()
        for service in self.config.endpoints:
            aws.ec2.VpcEndpoint(
                f"{self.name}-{service.replace('.', '-')}",
                vpc_id=self.vpc.id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{self.ctx.region}.{service}",
                subnet_ids=self._ids("private"),
                security_group_ids=[group.id],
                private_dns_enabled=True,
                policy=endpoints.interface_policy(self.ctx, service),
                tags=self.tagged(self.ctx.name(service)),
                opts=self.child(),
            )
        return group.id

    def _endpoint_group(self) -> aws.ec2.SecurityGroup:
        """TLS from inside the VPC, and nothing out."""
        group = aws.ec2.SecurityGroup(
            f"{self.name}-endpoints",
            description="TLS from the VPC to interface endpoints",
            vpc_id=self.vpc.id,
            tags=self.tagged(self.ctx.name("endpoints")),
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self.name}-endpoints-tls",
            security_group_id=group.id,
            description="TLS from the VPC",
            cidr_ipv4=self.config.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            tags=self.tagged(self.ctx.name("endpoints-tls")),
            opts=self.child(),
        )
        return group
