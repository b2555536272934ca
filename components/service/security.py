"""The security group of a container: in from its load balancer only, out to what it linked and to TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from components.base import Component
    from components.links import Ingress
    from components.network.component import Network


def make_group(owner: Component, network: Network, links: Sequence[Ingress]) -> aws.ec2.SecurityGroup:
    """The group and its ways out, each rule a resource of its own (60 rules a direction, VPC quota).

    TLS goes to any address, because what it needs there has no fixed ones: the identity provider's keys,
    and AWS APIs that have no endpoint in the VPC. Nothing else leaves the VPC: no other port is open, and
    the subnets' network ACL repeats it.
    """
    name = owner.name
    group = aws.ec2.SecurityGroup(
        name,
        description=f"{owner.ctx.project} {owner.ctx.stack} {name}",
        vpc_id=network.vpc_id,
        tags=owner.tagged(owner.ctx.name(name)),
        opts=owner.child(),
    )
    aws.vpc.SecurityGroupEgressRule(
        f"{name}-tls",
        security_group_id=group.id,
        description="TLS to AWS APIs and the identity provider",
        cidr_ipv4="0.0.0.0/0",
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        tags=owner.tagged(owner.ctx.name(name, "tls")),
        opts=owner.child(),
    )
    for link in links:
        connect(
            owner,
            f"{name}-to-{link.port}",
            source=group.id,
            target=link.security_group_id,
            port=link.port,
            description=link.description,
        )
    return group


def connect(
    owner: Component,
    name: str,
    *,
    source: pulumi.Input[str],
    target: pulumi.Input[str],
    port: int,
    description: str,
) -> None:
    """Open one port from one group to another: out of the source and into the target."""
    aws.vpc.SecurityGroupEgressRule(
        name,
        security_group_id=source,
        referenced_security_group_id=target,
        description=description,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=owner.tagged(owner.ctx.name(name)),
        opts=owner.child(),
    )
    aws.vpc.SecurityGroupIngressRule(
        name,
        security_group_id=target,
        referenced_security_group_id=source,
        description=description,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=owner.tagged(owner.ctx.name(name)),
        opts=owner.child(),
    )
