"""Safe reads of a resource's properties: what is not known yet is a value of its own, never an exception."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast

from pulumi_policy.proxy import UnknownValueError


class Absent(Enum):
    """What is read instead of a value."""

    MISSING = "missing"  # the program did not give it
    UNKNOWN = "unknown"  # it is not known before another resource exists


MISSING: Final = Absent.MISSING
UNKNOWN: Final = Absent.UNKNOWN

# Several modules of the provider speak of one thing; controls name only the first.
_ALIASES: Final = (
    ("aws:alb/", "aws:lb/"),
    ("aws:elasticloadbalancingv2/", "aws:lb/"),
    ("aws:applicationloadbalancing/", "aws:lb/"),
)


class UndecidedError(Exception):
    """A control read something that is not known yet."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def canonical(token: str) -> str:
    """The one spelling of a type token: `aws:alb/…` and `…V2` of S3 included."""
    for alias, name in _ALIASES:
        if token.startswith(alias):
            token = name + token.removeprefix(alias)
    if token.startswith("aws:s3/") and token.endswith("V2"):
        module, _, kind = token.rpartition(":")
        return f"{module.removesuffix('V2')}:{kind.removesuffix('V2')}"
    return token


def _second(token: str) -> str:
    module, _, kind = token.rpartition(":")
    return f"{module}V2:{kind}V2" if token.startswith("aws:s3/") else token


def _renamed(alias: str, name: str) -> Callable[[str], str]:
    return lambda token: alias + token.removeprefix(name) if token.startswith(name) else token


# the other way: each turns a canonical token into a synonym of it, or leaves it
SYNONYMS: Final[tuple[Callable[[str], str], ...]] = (_second, *(_renamed(*pair) for pair in _ALIASES))


def token(short: str) -> str:
    """The whole token of a short one: `rds/Instance` is `aws:rds/instance:Instance`."""
    if short.startswith("aws:"):
        return short
    module, _, kind = short.partition("/")
    return f"aws:{module}/{kind[0].lower()}{kind[1:]}:{kind}"


def tokens(*shorts: str) -> tuple[str, ...]:
    """Several of them."""
    return tuple(token(short) for short in shorts)


def true(value: object) -> bool:
    """Whether a flag is on; launch templates and ElastiCache take booleans as text."""
    return value is True or str(value).lower() == "true"


def plain(value: Any) -> Any:
    """The value without pulumi-policy's proxies: whole floats are ints, unknown parts are UNKNOWN."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: _item(mapping, key) for key in list(mapping.keys())}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        sequence = cast("Sequence[Any]", value)
        return [_item(sequence, index) for index in range(len(sequence))]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def read(values: Any, path: str) -> Any:
    """The value at a dotted path (`a.b`, `a.0.b`), MISSING, or UNKNOWN when it or its holder is unknown."""
    current = values
    for part in path.split("."):
        if current is UNKNOWN:
            return UNKNOWN
        if isinstance(current, Mapping):
            current = cast("Mapping[str, Any]", current).get(part, MISSING)
        elif isinstance(current, list) and part.isdigit():
            items = cast("list[Any]", current)
            current = items[int(part)] if int(part) < len(items) else MISSING
        else:
            return MISSING
    return MISSING if current is None else current
