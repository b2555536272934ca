"""Websocket protocol v1 at `/ws`: frames of the client, decoded strictly, and frames of the server."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from apps.contracts.channels import MAX_CHANNELS, Message
from apps.contracts.entities import Access, EntityChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 1
MAX_KINDS: Final = 50
MAX_FILTERS: Final = 20
#: A close reason is a control frame: 125 bytes with its code (RFC 6455, 5.5).
MAX_REASON_BYTES: Final = 123


class Close(IntEnum):
    """Why the server closes; 44xx follow the HTTP status they resemble."""

    RESTART = 1012
    TRY_LATER = 1013
    BAD_FRAME = 4400
    UNAUTHENTICATED = 4401
    TIMEOUT = 4408
    TOO_LARGE = 4413
    RATE = 4429
    SLOW = 4430


# --- client → server ----------------------------------------------------------------------------------------

_Text = Annotated[str, Meta(max_length=128)]
#: An id of a message, or "" for "from now on".
_Since = Annotated[str, Meta(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?\Z")]


class Identify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="identify"):
    """The first frame; `since`, `epoch` and `session` of the lost connection ask for a resume.

    `inbox` asks for the user's own messages after that id (`""`: from now on) and is answered `subscribed`.
    """

    token: Annotated[str, Meta(min_length=1)]
    since: Annotated[int, Meta(ge=0)] | None = None
    epoch: _Text | None = None
    session: _Text | None = None
    inbox: _Since | None = None
    traceparent: _Text | None = None
    correlation_id: _Text | None = None
    v: Literal[1] = 1


class Viewport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="viewport"):
    """What the client looks at, in degrees; `west > east` crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float
    zoom: float = 0.0
    filters: Annotated[list[_Text], Meta(max_length=MAX_FILTERS)] = []
    kinds: Annotated[list[_Text], Meta(max_length=MAX_KINDS)] = []
    traceparent: _Text | None = None
    correlation_id: _Text | None = None
    v: Literal[1] = 1


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="ping"):
    """Asks for a `pong`."""

    v: Literal[1] = 1


class Pong(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="pong"):
    """Answers a `ping`."""

    v: Literal[1] = 1


class Subscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="subscribe"):
    """Asks for the messages of channels, answered `subscribed`; it ends with the connection.

    `since` has the last id of channels to go on from. With `presence` the user is one of the members that
    others with `presence` are shown, and is shown them.
    """

    channels: Annotated[list[_Text], Meta(min_length=1, max_length=MAX_CHANNELS)]
    since: Annotated[dict[_Text, _Since], Meta(max_length=MAX_CHANNELS)] = {}
    presence: bool = False
    v: Literal[1] = 1


class Unsubscribe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="unsubscribe"
):
    """No more messages of these channels, answered `unsubscribed`."""

    channels: Annotated[list[_Text], Meta(min_length=1, max_length=MAX_CHANNELS)]
    v: Literal[1] = 1


ClientFrame = Identify | Viewport | Ping | Pong | Subscribe | Unsubscribe


class FrameError(Exception):
    """A frame that ends the connection: its close code and the code of the error frame before it."""

    def __init__(self, close: Close, code: str, message: str, hint: str = "") -> None:
        self.close = close
        self.code = code
        self.hint = hint
        super().__init__(message)


_client = msgspec.json.Decoder(ClientFrame)


def decode_client(data: str | bytes | None, max_bytes: int) -> ClientFrame:
    """Decode a text frame of the client; raises `FrameError`. `None` stands for a binary frame."""
    if data is None:
        raise FrameError(Close.BAD_FRAME, "frame.binary", "frames are JSON text", "send a text frame")
    # a character is one to four bytes: only between the two bounds must the text be encoded to know
    size = len(data)
    if size > max_bytes or (
        size * 4 > max_bytes and isinstance(data, str) and len(data.encode(errors="replace")) > max_bytes
    ):
        raise FrameError(Close.TOO_LARGE, "frame.too_large", f"a frame has at most {max_bytes} bytes")
    try:
        return _client.decode(data)
    except msgspec.ValidationError as error:
        raise FrameError(Close.BAD_FRAME, "frame.invalid", str(error), "see the protocol's frames") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FrameError(Close.BAD_FRAME, "frame.malformed", f"the frame is no JSON: {error}") from None


class Bounds(msgspec.Struct, frozen=True):
    """A box with longitudes in [-180, 180]; `west > east` crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, lat: float, lon: float) -> bool:
        """Whether a point is inside, edges included."""
        if not self.south <= lat <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= lon <= self.east
        return lon >= self.west or lon <= self.east


def bounds_of(viewport: Viewport) -> Bounds:
    """Check and normalise what a map reports (it may have turned round the world); raises ValueError."""
    west, south, east, north = viewport.west, viewport.south, viewport.east, viewport.north
    if not all(isfinite(value) for value in (west, south, east, north, viewport.zoom)):
        raise ValueError("a viewport is finite numbers")
    if south > north:
        raise ValueError(f"south {south:g} is above north {north:g}")
    if north < -90 or south > 90 or abs(west) > 540 or abs(east) > 540:
        raise ValueError("latitudes are within -90 and 90, longitudes within -540 and 540")
    south, north = max(south, -90.0), min(north, 90.0)
    if -180 <= west <= 180 and -180 <= east <= 180:
        return Bounds(west, south, east, north)
    if east - west >= 360:
        return Bounds(-180.0, south, 180.0, north)
    return Bounds(_wrap(west), south, _wrap(east), north)


def _wrap(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180.0) % 360.0 - 180.0


# --- server → client ----------------------------------------------------------------------------------------


class _Server(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """A frame of the server; `v` leads, the trace follows where there is one."""


class Welcome(_Server, frozen=True, tag="welcome"):
    """The answer to `identify`. After `recovered: false` the client sends its viewport again."""

    session: str
    epoch: str
    seq: int
    recovered: bool
    heartbeat_seconds: float
    traceparent: str = ""
    correlation_id: str = ""


class Snapshot(_Server, frozen=True, tag="snapshot"):
    """Replaces everything the client has; `truncated` when there was more than it may be shown."""

    epoch: str
    seq: int
    entities: list[msgspec.Raw]
    truncated: bool = False
    traceparent: str = ""
    correlation_id: str = ""


class Resync(_Server, frozen=True, tag="resync"):
    """Changes were left out; a snapshot follows."""

    epoch: str
    seq: int
    traceparent: str = ""
    correlation_id: str = ""


class ServerPing(_Server, frozen=True, tag="ping"):
    """The heartbeat; the client answers `pong`."""

    traceparent: str = ""
    correlation_id: str = ""


class ServerPong(_Server, frozen=True, tag="pong"):
    """The answer to the client's `ping`."""

    traceparent: str = ""
    correlation_id: str = ""


class ErrorFrame(_Server, frozen=True, tag="error"):
    """What was wrong with a frame; a close follows unless the client may go on."""

    code: str
    message: str
    hint: str = ""
    traceparent: str = ""
    correlation_id: str = ""


class Subscription(msgspec.Struct, frozen=True):
    """Where a subscription stands: all that comes after `id` will be sent.

    `recovered: false` when something between the client's `since` and `id` can't be sent any more.
    """

    channel: str
    id: str
    recovered: bool


class Subscribed(_Server, frozen=True, tag="subscribed"):
    """The answer to `subscribe` and to `inbox` of `identify`, after the messages that were missed.

    Comes unasked with `recovered: false` when a client was too slow, or Redis lost what it should get.
    """

    channels: list[Subscription]
    traceparent: str = ""
    correlation_id: str = ""


class Unsubscribed(_Server, frozen=True, tag="unsubscribed"):
    """Nothing more comes of these channels."""

    channels: list[str]
    traceparent: str = ""
    correlation_id: str = ""


class Presence(_Server, frozen=True, tag="presence"):
    """Who is on a channel now (at most 100 names; `count` is exact), and what the last change was."""

    channel: str
    count: int
    members: list[str]
    joined: list[str]
    left: list[str]
    traceparent: str = ""
    correlation_id: str = ""


ServerFrame = (
    Welcome | Snapshot | Resync | ServerPing | ServerPong | ErrorFrame | Subscribed | Unsubscribed | Presence
)


class EntityView(msgspec.Struct, frozen=True):
    """An entity as clients see it, the same as in the HTTP API."""

    id: str
    kind: str
    lat: float
    lon: float
    heading: float | None
    attributes: dict[str, Any] | msgspec.Raw
    access: AccessView
    version: int
    changed_at: int


class AccessView(msgspec.Struct, frozen=True):
    """Who may see an entity."""

    rule: str
    owner: str
    group: str


_encoder = msgspec.json.Encoder()


def encode(frame: ServerFrame) -> str:
    """Encode a frame of the server."""
    # `v` is written here: a struct's tag always comes first, and readers of a log want the version first
    return '{"v":1,' + _encoder.encode(frame)[1:].decode()


def encode_entity(view: EntityView) -> bytes:
    """Encode one entity for a snapshot."""
    return _encoder.encode(view)


def upsert(entity: bytes) -> bytes:
    """Return the operation that shows an encoded entity."""
    return b'{"op":"upsert","entity":' + entity + b"}"


def remove(entity_id: str, version: int) -> bytes:
    """Return the operation that takes an entity away."""
    return b'{"op":"remove","id":' + _encoder.encode(entity_id) + b',"version":%d}' % version


def view_of(change: EntityChanged) -> EntityView:
    """Return what clients see of a change."""
    return EntityView(
        id=change.id,
        kind=change.kind,
        lat=change.lat,
        lon=change.lon,
        heading=change.heading,
        attributes=change.attributes,
        access=access_view(change.access),
        version=change.version,
        changed_at=change.changed_at,
    )


def access_view(access: Access) -> AccessView:
    """Return the rule as clients see it."""
    return AccessView(access.rule, access.owner, access.group)


def delta(
    epoch: str, seq: int, at: int, ops: Sequence[bytes], traceparent: str = "", correlation_id: str = ""
) -> str:
    """Join encoded operations to a frame; the trace is that of the newest change in it."""
    return delta_of(delta_head(epoch), seq, at, delta_trace(traceparent, correlation_id), ops)


def delta_head(epoch: str) -> str:
    """Return how every delta of an epoch begins."""
    return f'{{"v":1,"type":"delta","epoch":"{epoch}","seq":'


@lru_cache(maxsize=1024)  # one change goes to many clients
def delta_trace(traceparent: str, correlation_id: str) -> str:
    """Return what stands between a delta's numbers and its operations."""
    trace = f',"traceparent":"{traceparent}"' if traceparent else ""
    if correlation_id:
        trace += f',"correlation_id":{_encoder.encode(correlation_id).decode()}'
    return f'{trace},"ops":['


def delta_of(head: str, seq: int, at: int, trace: str, ops: Sequence[bytes]) -> str:
    """Join a delta's parts; this is done for every frame, so the parts are kept where they stay the same."""
    return f'{head}{seq},"at":{at}{trace}{b",".join(ops).decode()}]}}'


def message_item(channel: str, message_id: str, message: Message) -> bytes:
    """Encode a message as one item of a `messages` frame."""
    head = b'{"channel":"%b","id":"%b","name":"%b","at":%d,' % (
        channel.encode(),
        message_id.encode(),
        message.name.encode(),
        message.at,
    )
    if message.trace.traceparent:
        head += b'"traceparent":' + _encoder.encode(message.trace.traceparent) + b","
    if message.trace.correlation_id:
        head += b'"correlation_id":' + _encoder.encode(message.trace.correlation_id) + b","
    return head + b'"data":' + message.data + b"}"


def messages(items: Sequence[bytes]) -> str:
    """Join encoded messages to a frame: each has the trace of whoever sent it."""
    return f'{{"v":1,"type":"messages","messages":[{b",".join(items).decode()}]}}'


def close_reason(code: str) -> str:
    """Return the reason of a close: a code that programs can read."""
    return _encoder.encode({"code": code}).decode()[:MAX_REASON_BYTES]


def busy_reason(code: str, retry_ms: int) -> str:
    """Return the reason of a 1013 close: why, and when to come back."""
    return _encoder.encode({"code": code, "retry_ms": retry_ms}).decode()


def restart_reason(retry_ms: int) -> str:
    """Return the reason of a 1012 close: when to come back."""
    return _encoder.encode({"retry_ms": retry_ms}).decode()
