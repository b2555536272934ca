"""What exists: a folder with one JSON file per resource, so that a test can change or remove one (drift)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TakenError(Exception):
    """Two resources of one type have one id, which no cloud allows."""


@dataclass(frozen=True)
class Cloud:
    """The folder."""

    folder: Path

    def path(self, type_: str, id_: str) -> Path:
        """The file of one resource."""
        digest = hashlib.sha256(f"{type_}|{id_}".encode()).hexdigest()[:10]
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{type_}__{id_}")[:120]
        return self.folder / f"{readable}.{digest}.json"

    def create(self, type_: str, id_: str, outputs: dict[str, Any]) -> None:
        """Make it; an id that is taken is an error, as in a cloud."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self.path(type_, id_).open("x", encoding="utf-8") as file:
                json.dump(outputs, file, indent=1, sort_keys=True)
        except FileExistsError as error:
            raise TakenError(f"{type_} {id_} exists already") from error

    def write(self, type_: str, id_: str, outputs: dict[str, Any]) -> None:
        """Change it."""
        text = json.dumps(outputs, indent=1, sort_keys=True)
        self.path(type_, id_).write_text(text, encoding="utf-8")

    def read(self, type_: str, id_: str) -> dict[str, Any] | None:
        """What it is now, or None where it is gone."""
        path = self.path(type_, id_)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def delete(self, type_: str, id_: str) -> None:
        """Remove it, if it is there."""
        self.path(type_, id_).unlink(missing_ok=True)

    def left(self) -> list[str]:
        """The names of all that exists."""
        return sorted(path.name for path in self.folder.glob("*.json"))
