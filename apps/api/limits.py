"""Who calls and how often: the middleware in front of every /v1 route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from litestar.datastructures import MutableScopeHeaders

from apps.platform.ratelimit import Bucket, Decision, RateLimiter

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from apps.api.settings import ApiSettings
    from apps.platform.auth import Identity, TokenVerifier

_DECISION = "slipway_rate"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Limits:
    """The allowances of a user, and the largest snapshot."""

    def __init__(self, settings: ApiSettings, limiter: RateLimiter) -> None:
        self.snapshot = settings.snapshot_limit
        self._limiter = limiter
        self._reads = Bucket("read", settings.read_rate_per_second, settings.read_burst)
        self._writes = Bucket("write", settings.write_rate_per_second, settings.write_burst)
        self._messages = Bucket("message", settings.message_rate_per_second, settings.message_burst)

    async def charge(self, scope: Scope, caller: Identity) -> None:
        """Count one request."""
        bucket = self._reads if cast("Any", scope)["method"] in _READS else self._writes
        _remember(scope, await self._limiter.charge(bucket, caller.user))

    async def charge_writes(self, scope: Scope, caller: Identity, writes: int) -> None:
        """Count the further writes that one request holds."""
        if writes > 0:
            _remember(scope, await self._limiter.charge(self._writes, caller.user, writes))

    async def charge_message(self, scope: Scope, caller: Identity) -> None:
        """Count one message, beside the request that holds it."""
        _remember(scope, await self._limiter.charge(self._messages, caller.user))


class CallerMiddleware:
    """Authenticates, counts, and only then lets a body be read."""

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, limits: Limits) -> None:
        self.app = app
        self._verifier = verifier
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the identity into the scope and the allowance into the answer's headers."""
        given = next((value for key, value in scope["headers"] if key.lower() == b"authorization"), None)
        caller = await self._verifier.header(None if given is None else given.decode("latin-1"))
        scope["user"] = caller
        await self._limits.charge(scope, caller)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                decision: object = scope["state"].get(_DECISION)
                if isinstance(decision, Decision):
                    headers = MutableScopeHeaders.from_message(message)
                    for name, value in decision.headers().items():
                        headers[name] = value
            await send(message)

        await self.app(scope, receive, answer)


def _remember(scope: Scope, decision: Decision | None) -> None:
    if decision is not None:
        scope["state"][_DECISION] = decision
