"""What the network of a stack looks like, as pure data."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, field_validator, model_validator

from components.model import Model
from components.network.endpoints import EndpointName
from components.network.plan import SubnetKind

ZoneLetter = Literal["a", "b", "c", "d", "e", "f", "g", "h"]


class NetworkConfig(Model):
    """Zones are letters in order of arrival: append new ones; the first holds a single NAT.

    Prices (us-east-1): a NAT gateway $32.85 a month plus $0.045 a GB; an interface endpoint $7.30 a month
    and zone plus $0.01 a GB. Few endpoints pay before their traffic passes 200 GB a month and zone, so a
    development stack has none and goes through its one NAT; gateway endpoints (S3, DynamoDB) cost nothing.
    VPC sizes: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
    """

    cidr: str = Field(default="10.0.0.0/16", description="IPv4 block of the VPC, /16 to /21; never changes")
    zones: tuple[ZoneLetter, ...] = Field(
        default=("a", "b"),
        min_length=2,
        max_length=8,
        description="letters of availability zones; at least two, as load balancers and RDS want",
    )
    kinds: tuple[SubnetKind, ...] = Field(
        default=("public", "private", "isolated"), min_length=1, description="kinds of subnets in each zone"
    )
    nat: Literal["per_zone", "single"] = Field(
        default="single", description="per_zone survives the loss of a zone, single is cheaper"
    )
    endpoints: tuple[EndpointName, ...] = Field(
        default=(), description="interface endpoints: AWS services reached without the NAT"
    )
    flow_log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365, 400] = 30

    @field_validator("cidr")
    @classmethod
    def _block(cls, value: str) -> str:
        try:
            block = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no IPv4 network ({error}). hint: 10.0.0.0/16") from error
        if not block.is_private:
            raise ValueError(f"{value} is not a private range (RFC 1918). hint: 10.0.0.0/16")
        if not 16 <= block.prefixlen <= 21:
            raise ValueError(
                f"{value} has prefix /{block.prefixlen}; the plan needs /16 (the largest VPC) to /21"
            )
        return value

    @field_validator("zones", "kinds", "endpoints")
    @classmethod
    def _unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({item for item in value if value.count(item) > 1}):
            raise ValueError(f"{', '.join(twice)} is listed twice")
        return value

    @model_validator(mode="after")
    def _private_needs_public(self) -> NetworkConfig:
        if "private" in self.kinds and "public" not in self.kinds:
            raise ValueError(
                "private subnets reach the world through a NAT in a public one. hint: add public"
            )
        return self
