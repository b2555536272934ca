"""The server's own `receive` and `send`: the hub sends without awaiting, which wrappers would not allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

_RAW: Final = "slipway.raw"


class RawChannels:
    """The outermost ASGI layer: keeps the server's own callables in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        cast("Any", scope)[_RAW] = (receive, send)
        await self._app(scope, receive, send)


def raw(scope: Any) -> tuple[Any, Any]:
    """Return the server's `receive` and `send` of a scope."""
    return cast("tuple[Any, Any]", scope[_RAW])
