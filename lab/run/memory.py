"""What a run remembers for the next one: generated passwords, ids of keys; dropped with the servers' data."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.servers.state import State, write_private


class Memory:
    """A small JSON file beside the data it belongs to, readable by this user only."""

    def __init__(self, state: State) -> None:
        self._path: Path = state.data("graph") / "values.json"
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {}
        if self._path.is_file():
            try:
                self._values = json.loads(self._path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise LabError(
                    f"{self._path} cannot be read",
                    cause=f"it is no JSON: {error}",
                    hint="run `slipway down --wipe` to start with empty state",
                    code="state-unusable",
                ) from error

    def get(self, key: str) -> Any:
        """The value, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember it; on disk before this returns."""
        with self._lock:
            if self._values.get(key) != value:
                self._values[key] = value
                write_private(self._path, json.dumps(self._values, indent=1, sort_keys=True))

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of the first time."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found
