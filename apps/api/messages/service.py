"""Use cases of messages: checked, then sent by the same call that every service has."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from apps.api.messages import guards
from apps.platform.errors import UnavailableError
from apps.platform.redis import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from apps.api.messages.schemas import MessageInput
    from apps.platform.auth import Identity
    from apps.platform.publish import Messages, Sent

#: Beyond this the caller is told to come back instead of being kept waiting.
_ANSWER_SECONDS: Final = 5.0


class MessageService:
    """One method per use case."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def to_user(self, caller: Identity, user: str, given: MessageInput, once: str | None) -> Sent:
        """Send to every session of a user."""
        guards.require_user(caller, user)
        key, sequence = (given.conflate.key, given.conflate.sequence) if given.conflate else ("", 0)
        return await _sent(
            self._messages.to_user(
                user,
                given.name,
                given.data,
                conflate=key,
                sequence=sequence,
                idempotency_key=_once(caller, once),
            )
        )

    async def to_channel(self, caller: Identity, channel: str, given: MessageInput, once: str | None) -> Sent:
        """Send to everybody who listens."""
        guards.require_channel(caller, channel)
        key, sequence = (given.conflate.key, given.conflate.sequence) if given.conflate else ("", 0)
        return await _sent(
            self._messages.to_channel(
                channel,
                given.name,
                given.data,
                conflate=key,
                sequence=sequence,
                idempotency_key=_once(caller, once),
            )
        )


def _once(caller: Identity, key: str | None) -> str:
    """Return the key as its sender's own: what one has used is not used up for another."""
    if not key:
        return ""
    return hashlib.blake2b(f"{caller.user}\0{key}".encode(), digest_size=16).hexdigest()


async def _sent(sending: Awaitable[Sent]) -> Sent:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await sending
    except (RedisError, OSError) as error:
        # TimeoutError is an OSError
        raise UnavailableError(
            "the message could not be handed on, or its answer was lost; "
            "with an Idempotency-Key it can be sent again without being sent twice",
            headers={"retry-after": "1"},
        ) from error
