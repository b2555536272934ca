"""The resources of a stack as lines for a snapshot: a rename, or a guard that is gone, shows in a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lab.model import Graph, Resource

# named after the hash of what is built: it changes with every commit
_BUILD: Final = "docker-build:index:Image"


def lines(graph: Graph) -> list[str]:
    """A line per resource: its URN without the constant part, and how it is guarded."""
    return sorted(_line(resource) for resource in graph if not resource.is_provider)


def _line(resource: Resource) -> str:
    head, _, name = resource.urn.rpartition("::")
    kind = head.split("::")[-1]
    shown = "<tag>" if resource.type == _BUILD else name
    guards = [word for word, on in _guards(resource) if on]
    return f"{kind}::{shown}" + (f"  [{', '.join(guards)}]" if guards else "")


def _guards(resource: Resource) -> tuple[tuple[str, bool], ...]:
    return (("protected", resource.protect), ("retained", resource.retain_on_delete))
