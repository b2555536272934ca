"""Saved filters: what a user wants to see, and the pure decision whether an entity is that."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from apps.contracts.entities import Trace

#: Redis channel of encoded `FiltersChanged`.
FILTERS_CHANNEL: Final = "filters:changed"

MAX_KINDS: Final = 50
MAX_CONDITIONS: Final = 20
MAX_VALUES: Final = 100
MAX_TEXT: Final = 256
#: PostgreSQL stores any text but this character.
NO_NUL: Final = r"^[^\x00]*\Z"

Op = Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"]
_ORDER: Final = frozenset({"gt", "gte", "lt", "lte"})


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One test of one attribute; `value` is a list for `in`, true or false for `exists`."""

    attribute: Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
    op: Op
    value: Any = None

    def __post_init__(self) -> None:
        """Refuse a value its operator can't use; msgspec reports this as a validation error."""
        problem = _value_problem(self.op, self.value)
        if problem:
            raise ValueError(f"{self.op} on {self.attribute!r}: {problem}")


class SavedFilter(msgspec.Struct, frozen=True):
    """All conditions must hold, and the kind must be listed when kinds are."""

    id: str
    name: str
    kinds: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    owner: str = ""


class FiltersChanged(msgspec.Struct, frozen=True, array_like=True):
    """A user saved, replaced or deleted a filter: their views read their filters again."""

    user: str
    trace: Trace = Trace()
    v: int = 1


_changed = msgspec.msgpack.Decoder(FiltersChanged)


def encode_changed(change: FiltersChanged) -> bytes:
    """Encode for the channel (MessagePack)."""
    return msgspec.msgpack.encode(change)


def decode_changed(data: bytes) -> FiltersChanged:
    """Decode what arrives on the channel; raises `msgspec.MsgspecError`."""
    return _changed.decode(data)


def matches(saved: SavedFilter, kind: str, attributes: dict[str, Any]) -> bool:
    """Whether an entity of `kind` with `attributes` passes the filter."""
    if saved.kinds and kind not in saved.kinds:
        return False
    return all(holds(condition, attributes) for condition in saved.where)


def matches_any(filters: tuple[SavedFilter, ...], kind: str, attributes: dict[str, Any]) -> bool:
    """Whether any filter passes; no filters means no restriction."""
    return not filters or any(matches(saved, kind, attributes) for saved in filters)


def holds(condition: Condition, attributes: dict[str, Any]) -> bool:
    """Whether one condition holds; an absent attribute is null, and null has no order."""
    actual = attributes.get(condition.attribute)
    wanted = condition.value
    match condition.op:
        case "exists":
            return (actual is not None) == (wanted is None or wanted)
        case "eq":
            return _same(actual, wanted)
        case "ne":
            return not _same(actual, wanted)
        case "in":
            return any(_same(actual, item) for item in wanted)
        case "gt" | "gte" | "lt" | "lte":
            return _ordered(condition.op, actual, wanted)


def _ordered(op: str, actual: Any, wanted: Any) -> bool:
    comparable = (_number(actual) and _number(wanted)) or (
        isinstance(actual, str) and isinstance(wanted, str)
    )
    if not comparable:
        return False
    if op == "gt":
        return actual > wanted
    if op == "gte":
        return actual >= wanted
    return actual < wanted if op == "lt" else actual <= wanted


def _same(actual: Any, wanted: Any) -> bool:
    # in Python True == 1; in JSON they differ
    return isinstance(actual, bool) == isinstance(wanted, bool) and actual == wanted


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value_problem(op: Op, value: Any) -> str:
    if op == "exists":
        return "" if value is None or isinstance(value, bool) else "the value is true or false"
    if op == "in":
        return _list_problem(value)
    if op in _ORDER and (isinstance(value, bool) or not isinstance(value, (int, float, str))):
        return "the value is a number or a text"
    return _scalar_problem(value)


def _list_problem(value: Any) -> str:
    if not isinstance(value, (list, tuple)) or not value or len(value) > MAX_VALUES:  # pyright: ignore[reportUnknownArgumentType]  # a list of anything
        return f"the value is a list of 1 to {MAX_VALUES}"
    return next((problem for item in value if (problem := _scalar_problem(item))), "")  # pyright: ignore[reportUnknownVariableType]  # as above


def _scalar_problem(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            return "a text can't hold the character U+0000"
        return "" if len(value) <= MAX_TEXT else f"a text has at most {MAX_TEXT} characters"
    if isinstance(value, float) and not isfinite(value):
        return "a number is finite"
    if value is None or isinstance(value, (bool, int, float)):
        return ""
    return "the value is a text, a number, true, false or null"
