"""The monthly estimate of a graph: baseline, declared use, autoscaling's ceiling, and what has no price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.graph import Graph, Node
from policies.pricing.items import Line
from policies.pricing.mapping import lines
from policies.pricing.table import Price, PriceTable
from policies.pricing.tiers import tier_of
from policies.pricing.usage import declared, shares
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
    declared: bool = False  # by the stack's declared use, not by the resource
    tier: str = ""
    type: str = ""

    @property
    def service(self) -> str:
        """AWS's offer code: what the bill calls the service."""
        return self.price.offer.partition(" ")[0]

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
    tier: str = ""
    type: str = ""


@dataclass
class Estimate:
    """The sums, and the lists behind them. Nothing unknown is counted as zero: it is in a list."""

    region: str
    items: list[Item] = field(default_factory=list[Item])
    unpriced: list[Unpriced] = field(default_factory=list[Unpriced])
    undeclared: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    idle: list[str] = field(default_factory=list[str])  # declared, but no resource bills it

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
    """Price every resource of the graph; `usage` is what the pack's configuration declares itself."""
    result = Estimate(region_of(graph))
    by_use: dict[str, list[tuple[Node, Line, Price]]] = {}
    for node in graph:
        try:
            found = lines(graph, node)
        except UndecidedError as unknown:
            result.unpriced.append(_unpriced(node, f"`{unknown.path}` is not known yet"))
            continue
        if found is None:
            result.unpriced.append(_unpriced(node, f"no price for {node.type}"))
            continue
        for line in found:
            price = table.find(line.price, result.region)
            if price is None:
                why = f"no price for {line.price} in {result.region}"
                result.unpriced.append(_unpriced(node, why))
            elif line.quantity is None:
                by_use.setdefault(line.price, []).append((node, line, price))
            else:
                ceiling = line.quantity if line.highest is None else line.highest
                result.items.append(_item(node, line, price, line.quantity, ceiling))
    _share_out(result, by_use, declared(graph, usage))
    return result


def _share_out(
    result: Estimate, by_use: Mapping[str, list[tuple[Node, Line, Price]]], usage: Mapping[str, float]
) -> None:
    used: set[str] = set()
    for price_id, bills in by_use.items():
        parts = shares(price_id, [node for node, _, _ in bills], usage)
        for (node, line, price), part in zip(bills, parts, strict=True):
            if part is None:
                result.undeclared.setdefault(price_id, []).append(node.urn)
                continue
            quantity, key = part
            used.add(key)
            result.items.append(_item(node, line, price, quantity, quantity, declared=True))
    result.idle.extend(sorted(key for key in usage if key not in used))


def _item(
    node: Node, line: Line, price: Price, quantity: float, ceiling: float, *, declared: bool = False
) -> Item:
    return Item(node.urn, node.label, line.what, price, quantity, ceiling, declared, tier_of(node), node.type)


def _unpriced(node: Node, why: str) -> Unpriced:
    return Unpriced(node.urn, node.label, why, tier_of(node), node.type)
