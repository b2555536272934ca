"""Pulumi's wire values (structs with envelopes for secrets, assets, references) to plain ones and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

from google.protobuf import struct_pb2
from pulumi_policy import proxy

from lab.model import UNKNOWN

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  the envelope's public mark
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_UNKNOWNS: Final = frozenset(
    (
        proxy.UNKNOWN_BOOLEAN_VALUE,
        proxy.UNKNOWN_NUMBER_VALUE,
        proxy.UNKNOWN_STRING_VALUE,
        proxy.UNKNOWN_ARRAY_VALUE,
        proxy.UNKNOWN_ASSET_VALUE,
        proxy.UNKNOWN_ARCHIVE_VALUE,
        proxy.UNKNOWN_OBJECT_VALUE,
    )
)


def decode(struct: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[tuple[str, ...]]]:
    """The struct as plain values, and the paths of what it marks as secret."""
    secrets: set[tuple[str, ...]] = set()
    values = {key: _decode(each, (key,), secrets) for key, each in struct.fields.items()}
    return values, frozenset(secrets)


def _decode(wire: struct_pb2.Value, path: tuple[str, ...], secrets: set[tuple[str, ...]]) -> Any:
    match wire.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if wire.string_value in _UNKNOWNS else wire.string_value
        case "number_value":
            number = wire.number_value
            return int(number) if math.isfinite(number) and number.is_integer() else number
        case "bool_value":
            return wire.bool_value
        case "list_value":
            items = wire.list_value.values
            return [_decode(item, (*path, str(index)), secrets) for index, item in enumerate(items)]
        case "struct_value":
            return _decode_struct(wire.struct_value, path, secrets)
        case _:
            return None


def _decode_struct(struct: struct_pb2.Struct, path: tuple[str, ...], secrets: set[tuple[str, ...]]) -> Any:
    fields = struct.fields
    mark = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
    if mark == SECRET:
        secrets.add(path)
        return _decode(fields["value"], path, secrets)
    inner = {key: _decode(each, (*path, key), secrets) for key, each in fields.items() if key != SIGNATURE}
    if mark == ASSET:
        return {"$asset": inner}
    if mark == ARCHIVE:
        return {"$archive": inner}
    if mark == REFERENCE:
        return {"$resource": inner.get("urn"), "id": inner.get("id")}
    return inner


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain values as a struct; UNKNOWN becomes the engine's mark."""
    struct = struct_pb2.Struct()
    for key, item in values.items():
        struct.fields[key].CopyFrom(value(item))
    return struct


def value(item: Any) -> struct_pb2.Value:
    """One plain value on the wire."""
    wire = struct_pb2.Value()
    if item is UNKNOWN:
        wire.string_value = proxy.UNKNOWN_STRING_VALUE
    elif item is None:
        wire.null_value = struct_pb2.NULL_VALUE
    elif isinstance(item, bool):
        wire.bool_value = item
    elif isinstance(item, (int, float)):
        wire.number_value = item
    elif isinstance(item, str):
        wire.string_value = item
    elif isinstance(item, Mapping):
        wire.struct_value.CopyFrom(encode(cast("Mapping[str, Any]", item)))
    elif isinstance(item, (list, tuple)):
        wire.list_value.SetInParent()
        wire.list_value.values.extend(value(inner) for inner in cast("list[Any]", item))
    else:
        msg = f"{type(item).__name__} cannot travel as an output: only JSON values can"
        raise TypeError(msg)
    return wire


def secret(item: Any) -> struct_pb2.Value:
    """The value in Pulumi's envelope for secrets."""
    wire = struct_pb2.Value()
    wire.struct_value.fields[SIGNATURE].string_value = SECRET
    wire.struct_value.fields["value"].CopyFrom(value(item))
    return wire
