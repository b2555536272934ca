"""Declared use: what the stack expects in a month, by price, shared out among the resources that bill it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from policies.graph import Graph, Node
from policies.reader import UNKNOWN

#: The component that carries it, whatever the package is called; its output `usage` is a mapping.
COMPONENT_SUFFIX: Final = ":DeclaredUsage"
_FOR: Final = "@"


def declared(graph: Graph, configured: Mapping[str, float] | None = None) -> dict[str, float]:
    """The stack's own declaration in its graph, and over it what the pack's configuration says."""
    found: dict[str, float] = {}
    for node in graph:
        if node.type.endswith(COMPONENT_SUFFIX):
            found.update(_numbers(node.get("usage")))
    return {**found, **(configured or {})}


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return {}
    entries = cast("Mapping[str, Any]", value)
    # an unknown quantity is not declared: its price is listed as such, not counted as zero
    return {key: float(amount) for key, amount in entries.items() if amount is not UNKNOWN}


def price_of(key: str) -> str:
    """`sqs.request` of `sqs.request@*-jobs`."""
    return key.partition(_FOR)[0]


def shares(price: str, nodes: Sequence[Node], usage: Mapping[str, float]) -> list[tuple[float, str] | None]:
    """For each node its quantity and the key that it is from, or None where nothing is declared.

    A key is the price, or `price@glob` for the resources whose name fits; each resource belongs to the first
    key with a glob that fits it, else to the bare one. A quantity is the stack's, shared equally.
    """
    globs = [key for key in usage if key.startswith(price + _FOR)]
    chosen: list[str | None] = []
    for node in nodes:
        fitting = (key for key in globs if fnmatchcase(node.name, key.partition(_FOR)[2]))
        chosen.append(next(fitting, price if price in usage else None))
    return [None if key is None else (usage[key] / chosen.count(key), key) for key in chosen]
