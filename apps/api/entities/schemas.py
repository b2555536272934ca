"""What the entity routes read and write; limits stand beside the fields they limit."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from apps.contracts.entities import AccessRule

MAX_BULK: Final = 1000
MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTES_BYTES: Final = 8192
MAX_DEPTH: Final = 8

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@~+-]{1,128}\Z", description="letters, digits and ._:@~+-")]
Kind = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", description="e.g. aircraft")]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="degrees, WGS 84")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="degrees, WGS 84")]
Heading = Annotated[float, Meta(ge=0, le=360, description="degrees clockwise from north; 360 is 0")]
Group = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f]*\Z")]


class AccessInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may see the entity: everyone, the members of a group, or its owner alone."""

    rule: AccessRule = "public"
    group: Group = ""

    def __post_init__(self) -> None:
        """A group goes with the group rule and with no other."""
        if self.rule == "group" and not self.group:
            raise ValueError("the group rule needs a group")
        if self.rule != "group" and self.group:
            raise ValueError(f"the {self.rule} rule takes no group")


#: The same in the document's words.
_GROUP_WITH_ITS_RULE: Final = {
    "oneOf": [
        {
            "properties": {"rule": {"const": "group"}, "group": {"minLength": 1}},
            "required": ["rule", "group"],
        },
        {"properties": {"rule": {"enum": ["public", "owner"]}, "group": {"const": ""}}},
    ]
}
AccessGiven = Annotated[AccessInput, Meta(extra_json_schema=_GROUP_WITH_ITS_RULE)]


class EntityInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new entity; without an id one is made."""

    kind: Kind
    lat: Latitude
    lon: Longitude
    id: Id | None = None
    heading: Heading | None = None
    attributes: dict[str, Any] = {}
    access: AccessGiven = AccessInput()

    def __post_init__(self) -> None:
        """Bound what is free-form."""
        check_attributes(self.attributes)


class BulkItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An upsert: attributes and access of an existing entity stay when they are not given."""

    id: Id
    kind: Kind
    lat: Latitude
    lon: Longitude
    heading: Heading | None = None
    attributes: dict[str, Any] | UnsetType = UNSET
    access: AccessGiven | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Bound what is free-form."""
        if self.attributes is not UNSET:
            check_attributes(self.attributes)


class BulkInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 1,000 upserts; each is judged alone, so that one bad row spoils no other."""

    entities: Annotated[list[Any], Meta(max_length=MAX_BULK, description="BulkItem objects")]


class EntityPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A move or another change; what is not given stays, `heading: null` clears it."""

    lat: Latitude | UnsetType = UNSET
    lon: Longitude | UnsetType = UNSET
    heading: Heading | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType = UNSET
    access: AccessGiven | UnsetType = UNSET

    def __post_init__(self) -> None:
        """A change changes something."""
        given = (self.lat, self.lon, self.heading, self.attributes, self.access)
        if all(value is UNSET for value in given):
            raise ValueError("give at least one of lat, lon, heading, attributes, access")
        if self.attributes is not UNSET:
            check_attributes(self.attributes)


class AccessView(msgspec.Struct, frozen=True):
    """The access rule as it stands."""

    rule: AccessRule
    owner: str
    group: str


class EntityView(msgspec.Struct, frozen=True):
    """An entity as callers see it; `changed_at` is milliseconds since the epoch."""

    id: str
    kind: str
    lat: float
    lon: float
    heading: float | None
    attributes: dict[str, Any]
    access: AccessView
    version: int
    changed_at: int


class Snapshot(msgspec.Struct, frozen=True):
    """What is inside a viewport now; `truncated` says that there is more."""

    entities: list[EntityView]
    truncated: bool


class Deleted(msgspec.Struct, frozen=True):
    """The acknowledgement of a deletion: its version is above every one before."""

    id: str
    version: int


class BulkAccepted(msgspec.Struct, frozen=True):
    """An upsert that is committed."""

    id: str
    version: int


class BulkRejected(msgspec.Struct, frozen=True):
    """An upsert that was refused, by its place in the request."""

    index: int
    code: str
    error: str
    id: str | None = None


class BulkResult(msgspec.Struct, frozen=True):
    """`accepted` counts rows of the request; of several with one id the last is stored (`superseded`)."""

    accepted: int
    superseded: int
    results: list[BulkAccepted]
    rejected: list[BulkRejected]


def check_attributes(attributes: dict[str, Any]) -> None:
    """Raise ValueError when free-form attributes are more than database, stream or page can hold."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise ValueError(f"at most {MAX_ATTRIBUTES} attributes, found {len(attributes)}")
    if any(not 1 <= len(name) <= 64 for name in attributes):
        raise ValueError("a name of an attribute has 1 to 64 characters")
    # every reader decodes them again, some recursively
    if _deeper(attributes, MAX_DEPTH):
        raise ValueError(f"attributes are nested more than {MAX_DEPTH} deep")
    try:
        # as they travel on the stream
        msgspec.msgpack.encode(attributes)
    except OverflowError:
        raise ValueError("an integer has at most 64 bits") from None
    encoded = msgspec.json.encode(attributes)
    if len(encoded) > MAX_ATTRIBUTES_BYTES:
        raise ValueError(f"attributes take at most {MAX_ATTRIBUTES_BYTES} bytes, found {len(encoded)}")
    # an escaped backslash before u0000 is harmless text, and as rare as the NUL: both are refused
    if b"\\u0000" in encoded:
        raise ValueError("attributes can't hold the character U+0000")


def _deeper(value: Any, levels: int) -> bool:
    """Whether `value` is nested more than `levels` deep."""
    if not isinstance(value, (dict, list)):
        return False
    if levels == 0:
        return True
    inner = cast("list[Any]", list(value.values()) if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # a JSON value
    return any(_deeper(item, levels - 1) for item in inner)
