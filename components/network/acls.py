"""Network ACLs: what each kind of subnet exchanges, as stateless rules beside the security groups.

Port 3389 is left out of the return ranges, because Security Hub EC2.21 forbids it to the world. A NAT
gateway may choose it as a source port, once in 64,512 connections, and that connection is retried.
"Fragmentation needed" (ICMP type 3, code 4) is let in everywhere but isolated: without it a connection over
a narrower path stalls (https://docs.aws.amazon.com/vpc/latest/userguide/path_mtu_discovery.html).
The VPC resolver, the time service and task metadata are link-local: network ACLs do not see them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from components.network.plan import SubnetKind

WORLD: Final = "0.0.0.0/0"
_RETURN: Final = ((1024, 3388), (3390, 65535))


@dataclass(frozen=True)
class AclRule:
    """One allow rule; the number is its place and part of its identity. Ports have no meaning for ICMP."""

    number: int
    egress: bool
    cidr: str
    from_port: int
    to_port: int
    protocol: Literal["tcp", "icmp"] = "tcp"

    @property
    def name(self) -> str:
        """`in-100`."""
        return f"{'out' if self.egress else 'in'}-{self.number}"


_FRAGMENTATION_NEEDED: Final = AclRule(140, egress=False, cidr=WORLD, from_port=0, to_port=0, protocol="icmp")


def rules(kind: SubnetKind, vpc_cidr: str) -> list[AclRule]:
    """The rules of one kind of subnet: TCP, and what path MTU discovery needs; everything else is denied."""
    if kind == "public":
        return [
            AclRule(100, egress=False, cidr=WORLD, from_port=443, to_port=443),
            AclRule(110, egress=False, cidr=WORLD, from_port=80, to_port=80),
            *_returns(120, WORLD, egress=False),
            _FRAGMENTATION_NEEDED,
            AclRule(100, egress=True, cidr=WORLD, from_port=443, to_port=443),
            *_returns(120, WORLD, egress=True),
        ]
    if kind == "private":
        return [
            AclRule(100, egress=False, cidr=vpc_cidr, from_port=0, to_port=65535),
            *_returns(120, WORLD, egress=False),
            _FRAGMENTATION_NEEDED,
            AclRule(100, egress=True, cidr=WORLD, from_port=443, to_port=443),
            AclRule(110, egress=True, cidr=vpc_cidr, from_port=1024, to_port=65535),
        ]
    return [
        AclRule(100, egress=False, cidr=vpc_cidr, from_port=0, to_port=65535),
        AclRule(100, egress=True, cidr=vpc_cidr, from_port=1024, to_port=65535),
    ]


def _returns(number: int, cidr: str, *, egress: bool) -> list[AclRule]:
    return [
        AclRule(number + 10 * step, egress=egress, cidr=cidr, from_port=low, to_port=high)
        for step, (low, high) in enumerate(_RETURN)
    ]
