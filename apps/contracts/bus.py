"""Between gateways and filter processors: viewports one way, `active` and deliveries the other, over Redis.

A gateway keeps each session's viewport in the hash `viewports_key(shard)` and publishes it on
`viewports_channel(shard)`; whoever holds the shard's lease subscribes first and loads the hash then, so that
nothing falls between. It answers `Active`; from that message on, every matching change reaches
`gateway_channel(gateway)`. A gateway takes its snapshot after `Active`, and newest version wins.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Final

import msgspec

from apps.contracts.channels import Posted
from apps.contracts.entities import Trace
from apps.contracts.filters import SavedFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Virtual shards of hash(user). Part of the contract: gateways and processors must agree on it.
SHARDS: Final = 64

#: Live processors: a sorted set of id by last heartbeat. The hash tag keeps all keys in one cluster slot.
PROCESSORS_KEY: Final = "{viewports}:processors"
#: Prompts every processor to look at the leases now (one came, left or let go).
LEASES_CHANNEL: Final = "leases:changed"


def shard_of(user: str) -> int:
    """Return the shard that all sessions of `user` belong to."""
    return zlib.crc32(user.encode()) % SHARDS


def viewports_key(shard: int) -> str:
    """Hash of a shard: session id to encoded `Registration`."""
    return f"{{viewports}}:{shard}"


def viewports_channel(shard: int) -> str:
    """Channel of a shard: encoded `Viewports`."""
    return f"viewports:{shard}"


def lease_key(shard: int) -> str:
    """Key that says which processor holds a shard."""
    return f"{{viewports}}:lease:{shard}"


def gateway_channel(gateway: str) -> str:
    """Channel of one gateway process: encoded `Active`, `Delivery`, and `Posted` for users it holds."""
    return f"gw:{gateway}"


def gateway_key(gateway: str) -> str:
    """Key a gateway renews; when it finds it gone, Redis was emptied and it registers everything again."""
    return f"{{viewports}}:gateway:{gateway}"


class Registration(msgspec.Struct, frozen=True, array_like=True, tag="viewport"):
    """What one session wants to see. `west > east` crosses the antimeridian.

    `slot` is the gateway's small number for the session; `rev` rises with each registration of the gateway,
    renewals too, and never repeats there. `ttl_ms` counts from receipt: clocks need not agree.
    """

    session: str
    slot: int
    rev: int
    gateway: str
    user: str
    groups: tuple[str, ...]
    south: float
    west: float
    north: float
    east: float
    zoom: float
    ttl_ms: int
    kinds: tuple[str, ...] = ()
    filters: tuple[SavedFilter, ...] = ()
    trace: Trace = Trace()
    v: int = 1
    #: Above every access rule (`access.sees_all` of the token's scopes).
    everything: bool = False


class Removal(msgspec.Struct, frozen=True, array_like=True, tag="removal"):
    """A session ended."""

    session: str
    rev: int
    trace: Trace = Trace()


class Viewports(msgspec.Struct, frozen=True):
    """What changed in one shard during one tick of one gateway."""

    items: list[Registration | Removal]
    trace: Trace = Trace()
    v: int = 1


class Active(msgspec.Struct, frozen=True, array_like=True, tag="active"):
    """From here on `processor` delivers for these sessions.

    `order` rises with every take-over of a shard and every gap. A gateway listens to one processor per
    session, the one with the highest order, and takes a new snapshot when the order rises or the session was
    `fresh`, that is unknown to the processor until now.
    """

    processor: str
    order: int
    sessions: list[tuple[int, int, bool]]  # slot, rev, fresh
    trace: Trace = Trace()
    v: int = 1


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One operation for several sessions; `body` is its JSON, encoded once, `slots` packed 32-bit numbers."""

    id: str
    version: int
    removed: bool
    body: bytes
    slots: bytes
    trace: Trace = Trace()
    #: When it was committed, in milliseconds since the epoch; 0: not known.
    changed_at: int = 0


class Delivery(msgspec.Struct, frozen=True, array_like=True, tag="delivery"):
    """What one processor has for one gateway after one tick; `at` is milliseconds since the epoch."""

    processor: str
    at: int
    items: list[Item]
    trace: Trace = Trace()
    v: int = 1


GatewayMessage = Active | Delivery | Posted

_encoder = msgspec.msgpack.Encoder()
_viewports = msgspec.msgpack.Decoder(Viewports)
_registration = msgspec.msgpack.Decoder(Registration)
_gateway = msgspec.msgpack.Decoder(GatewayMessage)


def encode(message: Registration | Viewports | Active | Delivery) -> bytes:
    """Encode any message of this bus (MessagePack)."""
    return _encoder.encode(message)


def decode_viewports(data: bytes) -> Viewports:
    """Decode what arrives on a shard's channel; raises `msgspec.MsgspecError`."""
    return _viewports.decode(data)


def decode_registration(data: bytes) -> Registration:
    """Decode a field of a shard's hash; raises `msgspec.MsgspecError`."""
    return _registration.decode(data)


def decode_gateway(data: bytes) -> GatewayMessage:
    """Decode what arrives on a gateway's channel; raises `msgspec.MsgspecError`."""
    return _gateway.decode(data)


def pack_slots(slots: Iterable[int]) -> bytes:
    """Pack slots as little-endian 32-bit numbers."""
    packed = array("I", slots)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_slots(data: bytes) -> array[int]:
    """Unpack slots; raises ValueError when the length is no multiple of four."""
    slots = array("I")
    slots.frombytes(data)
    if sys.byteorder == "big":
        slots.byteswap()
    return slots
