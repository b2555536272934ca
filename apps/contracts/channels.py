"""Messages beside the map: to one user, or to everybody on a channel. Sent by any service, heard at `/ws`.

A message is kept a while in the stream of its user or channel and published at once: a user's to the gateways
that hold the user (`bus.gateway_channel`), a channel's on `wire_channel(name)`. Both happen in one script, so
ids and deliveries have one order, and who was away or slow reads on from the id it has. `floor_key` holds the
id after which the stream is whole: nobody is ever given a part.

A channel's name carries its rule: `public.TOPIC` is for everyone, `group.GROUP.TOPIC` for a group's members.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from apps.contracts.entities import Trace

if TYPE_CHECKING:
    from collections.abc import Collection

#: The name under which a session hears what is sent to its own user.
OWN: Final = "user"
#: Sends to oneself, to public channels and to channels of one's groups.
SEND: Final = "messages:write"
#: Sends to anybody (with `SEND`): what a service's own token has.
SEND_TO_ALL: Final = "messages:admin"

#: As long as a token's subject may be.
MAX_USER: Final = 256
MAX_CHANNELS: Final = 128
MAX_CHANNEL_NAME: Final = 128
MAX_MESSAGE_BYTES: Final = 16_384
#: A user's or channel's stream keeps so many messages, oldest leave first, and so long after the newest. Of
#: channels there are as many as senders think of names: theirs are for reconnects only.
HISTORY_MESSAGES: Final = 100
INBOX_SECONDS: Final = 3600
CHANNEL_SECONDS: Final = 300
#: A repeated idempotency key is known this long.
IDEMPOTENCY_SECONDS: Final = 3600
#: Members of a channel that a presence frame names at most; `count` is always exact.
MAX_MEMBERS: Final = 100

_CHANNEL: Final = re.compile(
    r"(?:public|group\.(?P<group>[A-Za-z0-9_-]{1,64}))(?:\.[A-Za-z0-9_-]{1,64})+\Z", re.ASCII
)
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9._:@/-]{1,128}\Z", re.ASCII)

#: A message's place in its stream: milliseconds and a number, as Redis orders them.
Position = tuple[int, int]


def is_channel(name: str) -> bool:
    """Whether a name has the form of a channel's."""
    return len(name) <= MAX_CHANNEL_NAME and _CHANNEL.match(name) is not None


def is_message_name(name: str) -> bool:
    """Whether a message may be called so (`notification`, `job.progress`)."""
    return _NAME.match(name) is not None


def is_key(text: str) -> bool:
    """Whether a text may be a conflation or idempotency key."""
    return _KEY.match(text) is not None


def may_listen(channel: str, groups: Collection[str], *, everything: bool = False) -> bool:
    """Everyone hears what is public, a group's members what is theirs; `everything` stands above the rule."""
    found = _CHANNEL.match(channel)
    if found is None:
        return False
    group = found["group"]
    return group is None or everything or group in groups


def may_send(channel: str, groups: Collection[str], scopes: Collection[str]) -> bool:
    """Who may send may send where it may listen, and with `SEND_TO_ALL` everywhere."""
    return SEND in scopes and may_listen(channel, groups, everything=SEND_TO_ALL in scopes)


def may_send_to_user(recipient: str, user: str, scopes: Collection[str]) -> bool:
    """To oneself, and with `SEND_TO_ALL` to everybody."""
    return SEND in scopes and (recipient == user or SEND_TO_ALL in scopes)


# --- names in Redis: the hash tag keeps what one script touches in one slot ---------------------------------


def user_key(user: str, what: str) -> str:
    """Key of a user: `inbox`, `floor`, `latest`, `gateways` or `sent:KEY`."""
    return f"{{user:{user}}}:{what}"


def channel_key(channel: str, what: str) -> str:
    """Key of a channel: `history`, `floor`, `latest`, `sent:KEY`, `members`, `gateways` or `at:GATEWAY`."""
    return f"{{channel:{channel}}}:{what}"


WIRE_PREFIX: Final = "channel:"


def wire_channel(channel: str) -> str:
    """Redis channel of a channel: encoded `Posted` and `PresenceChanged`."""
    return WIRE_PREFIX + channel


# --- on the wire --------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, array_like=True):
    """What a service sends; `data` is JSON, encoded once.

    Of messages with the same `conflate` key (a job's progress) only the newest counts: it takes the place of
    the older in the stream and in a slow client's queue. `at` is milliseconds since the epoch.
    """

    name: str
    at: int
    data: bytes
    conflate: str = ""
    trace: Trace = Trace()
    v: int = 1


class Posted(msgspec.Struct, frozen=True, array_like=True, tag="message"):
    """A message with its place in the stream of `to`: a user on a gateway's channel, else a channel.

    Written by a script that puts the head before the encoded message: the order of fields is its contract.
    """

    to: str
    id: str
    message: Message


class PresenceChanged(msgspec.Struct, frozen=True, array_like=True, tag="presence"):
    """Who is on a channel now: a state and not a difference, the newest counts.

    `joined` and `left` say what this change was; names are at most `MAX_MEMBERS` in each list.
    """

    channel: str
    count: int
    members: list[str]
    joined: list[str]
    left: list[str]
    trace: Trace = Trace()
    v: int = 1


ChannelMessage = Posted | PresenceChanged

_encoder = msgspec.msgpack.Encoder()
_message = msgspec.msgpack.Decoder(Message)
_wire = msgspec.msgpack.Decoder(ChannelMessage)


def encode(message: Message | Posted | PresenceChanged) -> bytes:
    """Encode (MessagePack)."""
    return _encoder.encode(message)


def decode_message(data: bytes) -> Message:
    """Decode an entry of a stream; raises `msgspec.MsgspecError`."""
    return _message.decode(data)


def decode_wire(data: bytes) -> ChannelMessage:
    """Decode what arrives on a channel; raises `msgspec.MsgspecError`."""
    return _wire.decode(data)


def position(text: str) -> Position:
    """Read an id; raises ValueError."""
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


def show(place: Position) -> str:
    """Write an id."""
    return f"{place[0]}-{place[1]}"
