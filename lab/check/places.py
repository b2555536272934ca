"""Where a resource is written down: the line of the program that made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from lab.model import Graph, Resource


@dataclass(frozen=True)
class Place:
    """A line of a file of the project."""

    file: str  # relative to the project's folder
    line: int


def place_of(resource: Resource, graph: Graph, root: Path) -> Place | None:
    """The innermost line of the project that asked for it, or for the component that made it."""
    current: Resource | None = resource
    while current is not None:
        for file, line in _frames(current):
            if file.is_relative_to(root) and "site-packages" not in file.parts:
                return Place(file.relative_to(root).as_posix(), line)
        current = graph.by_urn.get(current.parent)
    return None


def _frames(resource: Resource) -> Iterator[tuple[Path, int]]:
    """What Pulumi's SDK sends with a registration, the innermost first."""
    raw = cast("Any", resource.raw)  # the protocol's types know no stack traces
    for frame in raw.stackTrace.frames if raw else ():
        if frame.pc.uri.startswith("file:"):
            yield Path(unquote(urlsplit(str(frame.pc.uri)).path)), frame.pc.line
