"""Keeps secret values out of what is reported: a control that quotes a property cannot give one away."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from lab.errors import LabError
from lab.model import MASK, Graph
from policies.control import Finding

# shorter ones are words of every report: `true`, a port, a zone's letter
_SHORTEST: Final = 5


class Redactor:
    """Replaces the secret values of a stack by `[secret]` wherever they stand."""

    def __init__(self, graph: Graph) -> None:
        words: set[str] = set()
        for resource in graph:
            for path in resource.secret_paths:
                for values in (resource.inputs, resource.outputs):
                    words.update(_words(_at(values, path)))
        # the longest first: one secret may be a part of another
        self._words = sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without them."""
        for word in self._words:
            if word in text:
                text = text.replace(word, MASK)
        return text

    def finding(self, finding: Finding) -> Finding:
        """The same finding, its words redacted."""
        if not self._words:
            return finding
        return replace(
            finding,
            message=self.text(finding.message),
            path=tuple(self.text(step) for step in finding.path),
            fix=self.text(finding.fix),
        )

    def error(self, error: LabError) -> LabError:
        """The same error, its words redacted."""
        error.message = self.text(error.message)
        error.cause = self.text(error.cause) if error.cause else error.cause
        return error


def _at(values: Any, path: Iterable[str]) -> Any:
    for step in path:
        if isinstance(values, Mapping):
            values = cast("Mapping[str, Any]", values).get(step)
        elif isinstance(values, list) and step.isdigit() and int(step) < len(cast("list[Any]", values)):
            values = cast("list[Any]", values)[int(step)]
        else:
            return None
    return values


def _words(value: Any) -> Iterator[str]:
    """The texts in a value, those of a JSON document in it included."""
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            with contextlib.suppress(ValueError):
                yield from _words(json.loads(value))
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _words(inner)
    elif isinstance(value, (list, tuple)):
        for inner in cast("list[Any]", value):
            yield from _words(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
