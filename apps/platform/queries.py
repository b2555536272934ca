"""SQL lives in files: each query named, described, and found by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$")


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; psycopg takes `sql` (bytes: a file is as trustworthy as code)."""

    name: str
    description: str
    sql: bytes


def load_queries(path: Path) -> dict[str, Query]:
    """Read `-- name: x`, the comments that describe it, and its statement; each must be there."""
    queries: dict[str, Query] = {}
    for block in re.split(r"(?m)^(?=-- name: )", path.read_text(encoding="utf-8")):
        if not block.startswith("-- name: "):
            continue
        first, *rest = block.splitlines()
        match = _NAME.match(first.strip())
        comments = [line.removeprefix("--").strip() for line in rest if line.startswith("--")]
        statement = "\n".join(line for line in rest if not line.startswith("--")).strip()
        if match is None or not comments or not statement:
            raise ValueError(f"{path.name}: {first!r} needs a name, a describing comment and a statement")
        if match[1] in queries:
            raise ValueError(f"{path.name}: query {match[1]} is defined twice")
        queries[match[1]] = Query(match[1], " ".join(comments), statement.encode())
    return queries
