"""What the filter routes read and write."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from apps.api.entities.schemas import Kind
from apps.contracts.filters import MAX_CONDITIONS, MAX_KINDS, MAX_TEXT, MAX_VALUES, NO_NUL, Condition

_TEXT: Final[dict[str, Any]] = {"maxLength": MAX_TEXT, "pattern": NO_NUL}
_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean", "null"], **_TEXT}
#: What `Condition` itself refuses, in the document's words: which values go with which operator.
_VALUES: Final = {
    "oneOf": [
        {"properties": {"op": {"const": "exists"}, "value": {"type": ["boolean", "null"]}}},
        {
            "properties": {
                "op": {"const": "in"},
                "value": {"type": "array", "minItems": 1, "maxItems": MAX_VALUES, "items": _SCALAR},
            },
            "required": ["value"],
        },
        {
            "properties": {
                "op": {"enum": ["gt", "gte", "lt", "lte"]},
                "value": {"type": ["number", "string"], **_TEXT},
            },
            "required": ["value"],
        },
        {"properties": {"op": {"enum": ["eq", "ne"]}, "value": _SCALAR}},
    ]
}
ConditionGiven = Annotated[Condition, Meta(extra_json_schema=_VALUES)]


class FilterInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A filter to save: kinds (none: all) and conditions that must all hold."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*\Z")]
    kinds: Annotated[list[Kind], Meta(max_length=MAX_KINDS)] = []
    where: Annotated[
        list[Annotated[Condition, Meta(extra_json_schema=_VALUES)]], Meta(max_length=MAX_CONDITIONS)
    ] = []


class FilterView(msgspec.Struct, frozen=True):
    """A saved filter; its owner is who asks."""

    id: str
    name: str
    kinds: list[str]
    where: list[Condition]


class FilterList(msgspec.Struct, frozen=True):
    """All of a user's filters, by name."""

    filters: list[FilterView]
