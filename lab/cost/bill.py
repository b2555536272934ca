"""One stack's estimate, with what it is measured against, and its sums by tier, service or resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from lab import model
from lab.errors import LabError
from policies import reader
from policies.graph import Graph, Node
from policies.pricing import table
from policies.pricing.estimate import Estimate, Item, Unpriced, estimate
from policies.pricing.tiers import monthly_limit
from policies.pricing.usage import COMPONENT_SUFFIX

By = Literal["tier", "service", "resource"]
BY: Final[tuple[By, ...]] = ("tier", "service", "resource")


@dataclass(frozen=True)
class Row:
    """The four figures of one part of the stack."""

    name: str
    baseline: float = 0.0
    usage: float = 0.0
    exposure: float = 0.0
    unpriced: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Baseline and declared use."""
        return self.baseline + self.usage


@dataclass(frozen=True)
class Bill:
    """The estimate of a stack and the budget that it has."""

    stack: str
    resources: int
    budget: float | None
    estimate: Estimate
    declared: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def over(self) -> bool:
        """Whether baseline and declared use are more than the budget."""
        return self.budget is not None and self.estimate.total > self.budget

    def rows(self, by: By) -> list[Row]:
        """One row per tier, service or resource, the dearest first."""
        return _rows(self.estimate.items, self.estimate.unpriced, by)

    @property
    def whole(self) -> Row:
        """The stack as one row."""
        result = self.estimate
        labels = tuple(each.label for each in result.unpriced)
        return Row(self.stack, result.baseline, result.usage, result.exposure, labels)


def price_table(path: Path | None = None) -> table.PriceTable:
    """The pack's price file, or another one."""
    try:
        return table.load(path or table.DEFAULT_PATH)
    except table.PriceFileError as error:
        first, _, rest = str(error).partition("\n")
        raise LabError(
            first.rstrip(":"), cause=rest, hint="correct the price file", code="price-file"
        ) from error


def bill(graph: model.Graph, prices: table.PriceTable | None = None) -> Bill:
    """Price a preview-mode graph as the budget control does: the same package, the same numbers."""
    nodes = nodes_of(graph)
    try:
        limit = monthly_limit(nodes)[1]
    except reader.UndecidedError:
        limit = None
    declared: dict[str, Any] = {}
    for node in nodes:
        if node.type.endswith(COMPONENT_SUFFIX):
            declared.update(cast("Mapping[str, Any]", node.known("declared", {})))
    return Bill(graph.stack, len(graph), limit, estimate(nodes, prices or price_table(), {}), declared)


def nodes_of(graph: model.Graph) -> Graph:
    """The graph as the pack sees it: what the program gave, and of the rest what is known."""
    nodes = {
        each.urn: Node(
            reader.canonical(each.type), each.urn, each.name, _plain({**each.outputs, **each.inputs})
        )
        for each in graph
    }
    for each in graph:
        for key, urns in each.property_dependencies.items():
            nodes[each.urn].deps[key] = [nodes[urn] for urn in urns if urn in nodes]
    return Graph(nodes.values())


def _plain(value: Any) -> Any:
    if value is model.UNKNOWN:
        return reader.UNKNOWN
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _rows(items: Iterable[Item], unpriced: Iterable[Unpriced], by: By) -> list[Row]:
    # resources are told apart by URN: two may have one label
    names: dict[str, str] = {}
    sums: dict[str, list[float]] = {}
    lacking: dict[str, list[str]] = {}
    for item in items:
        where = {"tier": item.tier, "service": item.service, "resource": item.urn}[by]
        names[where] = item.label if by == "resource" else where
        sum_ = sums.setdefault(where, [0.0, 0.0, 0.0])
        sum_[1 if item.declared else 0] += item.usd
        sum_[2] += item.ceiling_usd
    for each in unpriced:
        where = {"tier": each.tier, "service": each.type.split("/")[0], "resource": each.urn}[by]
        names.setdefault(where, each.label if by == "resource" else where)
        sums.setdefault(where, [0.0, 0.0, 0.0])
        lacking.setdefault(where, []).append(each.label)
    rows = [
        Row(names[each], baseline, usage, exposure, tuple(lacking.get(each, ())))
        for each, (baseline, usage, exposure) in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row.total, row.name))
