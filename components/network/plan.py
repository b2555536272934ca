"""Which subnet has which addresses: fixed slots, so that growing the network never moves what exists."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

SubnetKind = Literal["public", "private", "isolated"]

ZONE_LETTERS: Final = "abcdefgh"
# (index, bits) inside a zone block, final: a new kind takes free eighths (6 and 7).
#   |  private (first half)  | public (eighth) | isolated (eighth) | free (quarter) |
SLOTS: Final[dict[SubnetKind, tuple[int, int]]] = {
    "private": (0, 1),
    "public": (4, 3),
    "isolated": (5, 3),
}


@dataclass(frozen=True)
class PlannedSubnet:
    """One subnet of the plan; `name` is unique in the network and stable for ever."""

    kind: SubnetKind
    zone: str
    cidr: str

    @property
    def name(self) -> str:
        """`private-a`."""
        return f"{self.kind}-{self.zone}"


def subnet_cidr(cidr: str, zone: str, kind: SubnetKind) -> str:
    """The block of one kind in one zone.

    The VPC is cut into eight zone blocks by letter; each zone block gives its first half to private
    subnets and an eighth each to public and isolated ones. In a /16: private /20 (4,091 addresses),
    public and isolated /22 (1,019 each; AWS keeps five of every subnet).
    """
    block = ipaddress.IPv4Network(cidr)
    zone_block = _nth(block, 3, ZONE_LETTERS.index(zone))
    index, bits = SLOTS[kind]
    return str(_nth(zone_block, bits, index))


def subnets(cidr: str, zones: Sequence[str], kinds: Sequence[SubnetKind]) -> list[PlannedSubnet]:
    """Every subnet, by kind and then by zone in the order given."""
    return [PlannedSubnet(kind, zone, subnet_cidr(cidr, zone, kind)) for kind in kinds for zone in zones]


def nat_zone(zone: str, zones: Sequence[str], *, per_zone: bool) -> str:
    """Which zone's NAT a private subnet uses: its own, or the first zone's."""
    return zone if per_zone else zones[0]


def _nth(block: ipaddress.IPv4Network, bits: int, index: int) -> ipaddress.IPv4Network:
    prefix = block.prefixlen + bits
    start = int(block.network_address) + index * 2 ** (32 - prefix)
    return ipaddress.IPv4Network((start, prefix))
