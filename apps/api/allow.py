"""`OPTIONS` tells every method of a path: Litestar's own answer knows only the first handler of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from litestar.datastructures import MutableScopeHeaders

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import Message, Receive, Scope, Send


class AllowMiddleware:
    """Pure ASGI, right around the app whose routes it knows."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._allowed = {
            route.path_format: ", ".join(sorted(str(method) for method in route.methods))
            for route in app.routes
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the whole list into the answer."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                allowed = self._allowed.get(str(cast("Any", scope).get("path_template", "")))
                if allowed:
                    MutableScopeHeaders.from_message(message)["allow"] = allowed
            await send(message)

        await self.app(scope, receive, answer)
