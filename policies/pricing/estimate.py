"""The monthly estimate of a graph: baseline, declared use, autoscaling's ceiling, and what has no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policies.graph import Graph, Node
from policies.pricing.items import Line
from policies.pricing.mapping import lines
from policies.pricing.table import Price, PriceTable
from policies.reader import UndecidedError


@dataclass(frozen=True)
class Item:
    """One line, priced."""

    urn: str
    label: str
    what: str
    price: Price
    quantity: float
    ceiling: float
    declared: bool = False  # by the usage file, not by the resource

    @property
    def usd(self) -> float:
        """Dollars a month."""
        return self.quantity * self.price.usd

    @property
    def ceiling_usd(self) -> float:
        """Dollars a month at the ceiling."""
        return self.ceiling * self.price.usd


@dataclass(frozen=True)
class Unpriced:
    """A resource, or one line of it, that no price is known for."""

    urn: str
    label: str
    why: str


@dataclass
class Estimate:
    """The sums, and the lists behind them. Nothing unknown is counted as zero: it is in a list."""

    region: str
    items: list[Item] = field(default_factory=list[Item])
    unpriced: list[Unpriced] = field(default_factory=list[Unpriced])
    undeclared: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def baseline(self) -> float:
        """What runs whether or not anybody comes."""
        return sum(item.usd for item in self.items if not item.declared)

    @property
    def usage(self) -> float:
        """The declared use."""
        return sum(item.usd for item in self.items if item.declared)

    @property
    def total(self) -> float:
        """Baseline and declared use."""
        return self.baseline + self.usage

    @property
    def exposure(self) -> float:
        """The same with every autoscaling at its ceiling."""
        return sum(item.ceiling_usd for item in self.items)

    def by_resource(self) -> list[tuple[str, str, float]]:
        """URN, label and dollars of each resource, the dearest first."""
        sums: dict[str, tuple[str, float]] = {}
        for item in self.items:
            label, usd = sums.get(item.urn, (item.label, 0.0))
            sums[item.urn] = (label, usd + item.usd)
        ranked = sorted(sums.items(), key=lambda pair: (-pair[1][1], pair[0]))
        return [(urn, label, usd) for urn, (label, usd) in ranked]

    def unverified(self) -> list[str]:
        """The prices used that are not traced to AWS."""
        return sorted({item.price.id for item in self.items if not item.price.verified})

    def oldest(self) -> Price | None:
        """The oldest price used."""
        return min((item.price for item in self.items), key=lambda price: price.date, default=None)

    def document(self) -> dict[str, Any]:
        """The estimate as JSON."""
        return {
            "region": self.region,
            "baseline_usd": round(self.baseline, 2),
            "usage_usd": round(self.usage, 2),
            "total_usd": round(self.total, 2),
            "exposure_usd": round(self.exposure, 2),
            "dearest": [
                {"urn": urn, "label": label, "usd": round(usd, 2)}
                for urn, label, usd in self.by_resource()[:5]
            ],
            "unpriced": [{"urn": each.urn, "label": each.label, "why": each.why} for each in self.unpriced],
            "undeclared_usage": {price: len(urns) for price, urns in sorted(self.undeclared.items())},
            "unverified_prices": self.unverified(),
        }


def region_of(graph: Graph) -> str:
    """The region that the stack's own provider names."""
    for provider in graph.of_type("pulumi:providers:aws"):
        region = provider.get("region")
        if isinstance(region, str):
            return region
    return "us-east-1"


def estimate(graph: Graph, table: PriceTable, usage: Mapping[str, float]) -> Estimate:
    """Price every resource of the graph."""
    result = Estimate(region_of(graph))
    for node in graph:
        try:
            found = lines(graph, node)
        except UndecidedError as unknown:
            result.unpriced.append(Unpriced(node.urn, node.label, f"`{unknown.path}` is not known yet"))
            continue
        if found is None:
            result.unpriced.append(Unpriced(node.urn, node.label, f"no price for {node.type}"))
            continue
        for line in found:
            _add(result, node, line, table, usage)
    return result


def _add(result: Estimate, node: Node, line: Line, table: PriceTable, usage: Mapping[str, float]) -> None:
    price = table.find(line.price, result.region)
    if price is None:
        why = f"no price for {line.price} in {result.region}"
        result.unpriced.append(Unpriced(node.urn, node.label, why))
        return
    declared = usage.get(line.price)
    if line.quantity is None:
        if declared is None:
            result.undeclared.setdefault(line.price, []).append(node.urn)
        else:
            result.items.append(
                Item(node.urn, node.label, line.what, price, declared, declared, declared=True)
            )
        return
    ceiling = line.quantity if line.highest is None else line.highest
    result.items.append(Item(node.urn, node.label, line.what, price, line.quantity, ceiling))


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
