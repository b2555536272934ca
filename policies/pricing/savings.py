"""What would make a stack cheaper without a redesign, and how much of it would be enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.pricing.estimate import Estimate


@dataclass(frozen=True)
class Saving:
    """One change that makes the stack cheaper."""

    what: str
    usd: float


def savings(result: Estimate) -> list[Saving]:
    """Changes that need no redesign, the largest first."""
    found: list[Saving] = []
    nats = [item for item in result.items if item.price.id == "nat.hour"]
    if len(nats) > 1:
        found.append(Saving(f"one NAT gateway instead of {len(nats)}", sum(item.usd for item in nats[1:])))
    multi = [item for item in result.items if item.price.id.endswith(".multi")]
    if multi:
        # the price of one zone is about half; the exact one may not be in the table
        found.append(Saving("the database in one zone", sum(item.usd for item in multi) / 2))
    endpoints = [item for item in result.items if item.price.id == "endpoint.hour"]
    if endpoints:
        usd = sum(item.usd for item in endpoints)
        found.append(
            Saving(f"no interface endpoints ({len(endpoints)} now), their traffic over the NAT", usd)
        )
    found.extend(_smaller(result))
    return sorted(found, key=lambda saving: -saving.usd)


def _smaller(result: Estimate) -> list[Saving]:
    dear = ("rds.postgres.", "cache.", "fargate.", "ec2.")
    sums: dict[str, float] = {}
    for item in result.items:
        if item.price.id.startswith(dear):
            sums[item.label] = sums.get(item.label, 0.0) + item.usd
    return [Saving(f"half the size of {label}", usd / 2) for label, usd in sums.items()]


def enough(result: Estimate, limit: float) -> tuple[Sequence[Saving], float]:
    """The fewest changes that bring the total under the limit, and what the total is then."""
    chosen: list[Saving] = []
    total = result.total
    for saving in savings(result):
        if total <= limit:
            break
        chosen.append(saving)
        total -= saving.usd
    return chosen, max(total, 0.0)
