"""What the filter routes read and write."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from apps.api.entities.schemas import Kind
from apps.contracts.filters import MAX_CONDITIONS, MAX_KINDS, Condition


class FilterInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A filter to save: kinds (none: all) and conditions that must all hold."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*\Z")]
    kinds: Annotated[list[Kind], Meta(max_length=MAX_KINDS)] = []
    where: Annotated[list[Condition], Meta(max_length=MAX_CONDITIONS)] = []


class FilterView(msgspec.Struct, frozen=True):
    """A saved filter; its owner is who asks."""

    id: str
    name: str
    kinds: list[str]
    where: list[Condition]


class FilterList(msgspec.Struct, frozen=True):
    """All of a user's filters, by name."""

    filters: list[FilterView]
