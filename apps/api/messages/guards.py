"""Who may send to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.contracts import channels
from apps.platform.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from apps.platform.auth import Identity


def require_user(caller: Identity, user: str) -> None:
    """Raise unless `caller` may send to `user`: to oneself, and with messages:admin to everybody."""
    caller.require(channels.SEND)
    if len(user) > channels.MAX_USER:
        raise NotFoundError("no user has so long an id", code="user.unknown")
    if not channels.may_send_to_user(user, caller.user, caller.scopes):
        raise ForbiddenError(
            f"you may send to yourself; to others with the scope {channels.SEND_TO_ALL}",
            code="message.forbidden",
        )


def require_channel(caller: Identity, channel: str) -> None:
    """Raise unless `caller` may send on `channel`: where one may listen, and with messages:admin anywhere."""
    caller.require(channels.SEND)
    if not channels.is_channel(channel):
        raise NotFoundError(
            f"no channel is called {channel[: channels.MAX_CHANNEL_NAME]!r}; "
            "names are public.TOPIC and group.GROUP.TOPIC",
            code="channel.unknown",
        )
    if not channels.may_send(channel, caller.groups, caller.scopes):
        raise ForbiddenError(
            f"you are no member of the channel's group; the scope {channels.SEND_TO_ALL} sends anywhere",
            code="message.forbidden",
        )
