"""Entity changes: what the API's outbox puts on the Redis Stream and the filter processor reads."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: Redis Stream of entity changes; one field, `c`, holds the encoded `EntityChanged`.
ENTITY_STREAM = "entities"
ENTITY_FIELD = b"c"

AccessRule = Literal["public", "group", "owner"]


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """W3C trace context and the caller's correlation id; carried by every envelope."""

    traceparent: str = ""
    correlation_id: str = ""


class Access(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may see an entity: everyone, the members of `group`, or `owner` alone.

    `owner` is always set by the API (the token's subject); `group` only when `rule` is `group`.
    """

    rule: AccessRule = "public"
    owner: str = ""
    group: str = ""


class EntityChanged(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="entity.changed"):
    """One committed change. `version` rises by one per entity and survives deletion.

    Latitudes and longitudes are degrees (WGS 84); `heading` is degrees clockwise from north or None;
    `changed_at` is milliseconds since the epoch at commit.
    """

    id: str
    version: int
    kind: str
    lat: float
    lon: float
    changed_at: int
    heading: float | None = None
    attributes: dict[str, Any] = {}
    access: Access = Access()
    deleted: bool = False
    trace: Trace = Trace()
    v: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EntityChanged)


def encode(change: EntityChanged) -> bytes:
    """Encode for the stream (MessagePack)."""
    return _encoder.encode(change)


def decode(data: bytes) -> EntityChanged:
    """Decode a stream entry; raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
    return _decoder.decode(data)
