"""One log line per request, under its trace: what an operator follows a correlation id by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from apps.platform.log import Log

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = Log("slipway.http")


class RequestLogMiddleware:
    """Pure ASGI, inside the trace. The query is left out: what callers put there is theirs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        #: Of the API's own routes, since the start.
        self.requests = 0
        self.errors = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and report it; health checks and the page's files only in detail."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            ours = scope["path"].startswith("/v1/")
            self.requests += ours
            # no answer at all is the server's error too
            self.errors += ours and not 0 < status < 500
            write = log.info if ours else log.debug
            write(
                "http.request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.monotonic() - begun) * 1000, 1),
            )
