"""Every mistake of a stack file in one message: file, key path, found, allowed, and the nearest valid key."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

_SHOWN = 80
# What is allowed, in the words of a YAML file rather than of Python; `{…}` comes from the error's context.
# Kinds: https://docs.pydantic.dev/latest/errors/validation_errors/
_ALLOWED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_type": "text (digits in quotes)",
    "too_long": "{max_length} items or fewer",
    "too_short": "{min_length} or more items",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class Problem:
    """One mistake."""

    path: str
    found: str
    allowed: str
    nearest: str | None = None

    def __str__(self) -> str:
        """`realtime.api.cpu: found 300; allowed: 256, 512 or 1024`."""
        near = f"; nearest valid key: {self.nearest}" if self.nearest else ""
        return f"{self.path}: found {self.found}; allowed: {self.allowed}{near}"


class StackConfigError(ValueError):
    """A stack file with mistakes; `problems` has each of them."""

    def __init__(self, file: str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        """One message for all problems, ending with what to do."""
        self.file = file
        self.problems = list(problems)
        self.hint = hint or f"correct {file}; docs/reference/stack.schema.json describes every key"
        count = f"{len(self.problems)} mistake{'s' if len(self.problems) != 1 else ''}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{file}: {count}{lines}\nhint: {self.hint}")


def shown(value: object) -> str:
    """A value as the message shows it, bounded."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def from_pydantic(error: ErrorDetails, model: type[BaseModel], prefix: str) -> Problem:
    """A validation error as a problem: our words for its own kinds, a validator's as they are."""
    location = error["loc"]
    path = prefix + _dotted(location)
    kind = error["type"]
    if kind == "extra_forbidden":
        valid = valid_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.5)
        return Problem(
            path,
            "an unknown key",
            f"one of {', '.join(valid)}" if valid else "no key",
            near[0] if near else None,
        )
    if kind == "missing":
        return Problem(path, "nothing", "a value: the key is required")
    words = _ALLOWED.get(kind)
    allowed = words.format_map(error.get("ctx", {})) if words else error["msg"].removeprefix("Value error, ")
    return Problem(path or prefix.rstrip(":."), shown(error["input"]), allowed)


def valid_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys of the model that a location inside `model` leads to."""
    current: Any = model
    for step in location:
        current = _inner(current, step)
        if current is None:
            return []
    found = _model_of(current)
    return sorted(found.model_fields) if found else []


def _inner(annotation: Any, step: int | str) -> Any:
    """The annotation one step further: a field, a list's item or a mapping's value."""
    model = _model_of(annotation)
    if model is not None:
        field = model.model_fields.get(str(step))
        return field.annotation if field else None
    for option in _options(annotation):
        arguments = get_args(option)
        if get_origin(option) is dict and len(arguments) == 2:
            return arguments[1]
        if get_origin(option) in (list, tuple) and arguments:
            return arguments[0]
    return None


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return list(get_args(annotation))
    return [annotation]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
