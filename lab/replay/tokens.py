"""Where a replay's token comes from: given, or from the lab's front, which makes one for the local stack."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

import aiohttp

from lab.errors import LabError
from lab.replay.sender import TokenSource


def given(token: str) -> TokenSource:
    """A token that was handed over."""

    async def source() -> str:
        return token

    return source


def from_front(url: str, user: str) -> TokenSource:
    """A token of the local stack's own issuer; a fresh one whenever the last has expired."""
    address = f"{url.rstrip('/')}/.slipway/token?user={quote(user)}"

    async def source() -> str:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.get(address) as reply,
            ):
                if reply.status == 200:
                    answer: object = await reply.json(content_type=None)
                    if isinstance(answer, dict):
                        token = cast("dict[str, object]", answer).get("token")
                        if isinstance(token, str) and token:
                            return token
                cause = f"GET {address} answered {reply.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise LabError(
                f"no stack answers at {url}",
                cause=str(error) or type(error).__name__,
                hint="start the local one with `slipway up`, or name another API with --url and --token",
                code="no-api",
            ) from error
        raise LabError(
            f"{url} gives no token to {user!r}",
            cause=cause,
            hint="give one with --token or SLIPWAY_TOKEN",
            code="token",
        )

    return source
