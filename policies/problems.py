"""Every mistake of a file of the pack in one message: file, key path, found, allowed, nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_SHOWN: Final = 80
# What is allowed, in the words of a file rather than of Python; `{…}` comes from the error's context.
# Kinds: https://docs.pydantic.dev/latest/errors/validation_errors/
_ALLOWED: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a day, such as 2027-01-31",
    "date_type": "a day, such as 2027-01-31",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_short": "at least {min_length} characters",
    "string_type": "text (digits in quotes)",
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
        """`waivers[2].expires: found 'soon'; allowed: a day, such as 2027-01-31`."""
        near = f"; nearest: {self.nearest}" if self.nearest else ""
        return f"{self.path}: found {self.found}; allowed: {self.allowed}{near}"


def told(file: str, problems: Sequence[Problem]) -> str:
    """All of them in one message."""
    count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
    return "\n".join([f"{file}: {count}", *(f"  {problem}" for problem in problems)])


def shown(value: object) -> str:
    """A value as the message shows it, bounded."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def unknown(path: str, what: str, word: str, known: Iterable[str]) -> Problem:
    """A word that is none of the known ones."""
    names = list(known)
    return Problem(path, f"an unknown {what}", one_of(names), nearest(word, names))


def one_of(names: Sequence[str]) -> str:
    """The valid words; of many only how many there are."""
    return f"one of {', '.join(names)}" if 0 < len(names) <= 16 else f"one of {len(names)} names"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The valid word that it was probably meant to be."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def from_pydantic(error: ErrorDetails, model: type[BaseModel], prefix: str) -> Problem:
    """A validation error as a problem: our words for its own kinds, a validator's as they are."""
    path = f"{prefix}{''.join(_step(step) for step in error['loc'])}".removeprefix(".")
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        known = [field.alias or name for name, field in model.model_fields.items()]
        return unknown(path, "key", str(error["loc"][-1]), known)
    if error["type"] == "extra_forbidden":
        return Problem(path, "an unknown key", "no such key here")
    if error["type"] == "missing":
        return Problem(path, "nothing", "a value: the key is required")
    words = _ALLOWED.get(error["type"])
    context: dict[str, Any] = error.get("ctx", {})
    allowed = words.format_map(context) if words else error["msg"].removeprefix("Value error, ")
    return Problem(path, shown(error["input"]), allowed)


def _step(step: int | str) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
