"""Which tier of its stack a resource belongs to, and which budget limits the whole of it."""

from __future__ import annotations

from typing import Final

from policies.graph import Graph, Node

BUDGET: Final = "aws:budgets/budget:Budget"
NO_TIER: Final = "(none)"


def tier_of(node: Node) -> str:
    """Its tag `tier`; where a resource takes no tags, the component that holds it: the URN names it."""
    tag = node.get("tags.tier")
    if isinstance(tag, str) and tag:
        return tag
    parts = node.urn.split("::")
    chain = parts[2].split("$") if len(parts) > 2 else []
    # slipway:realtime:RealtimeTier$aws:lb/…: the module of the outermost component
    words = chain[0].split(":") if len(chain) > 1 else []
    return words[1].split("/")[0] if len(words) > 1 else NO_TIER


def monthly_limit(graph: Graph) -> tuple[Node | None, float | None]:
    """The stack's monthly budget in dollars; the lowest when there are several."""
    limits = [
        (_dollars(budget), budget)
        for budget in graph.of_type(BUDGET)
        if budget.known("budgetType", "COST") == "COST" and budget.known("timeUnit") == "MONTHLY"
    ]
    if not limits:
        return None, None
    lowest, node = min(limits, key=lambda pair: pair[0])
    return node, lowest


def _dollars(budget: Node) -> float:
    """AWS takes the amount as a text; one that is no number allows nothing."""
    try:
        return float(budget.known("limitAmount", 0))
    except ValueError:
        return 0.0
