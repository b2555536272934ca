"""W3C trace context and correlation ids: parsed at the edge, kept per task, sent on with every envelope."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar.types import ASGIApp, Message, Receive, Scope, Send

TRACE_HEADER: Final = "traceparent"
CORRELATION_HEADER: Final = "x-correlation-id"

# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT = re.compile(r"^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$")
#: A caller's id goes into headers and logs: a safe alphabet, and short.
_CORRELATION = re.compile(r"^[A-Za-z0-9._:/@-]{1,128}$")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where this work stands in its trace, and the id its caller knows it by."""

    trace_id: str
    span_id: str
    correlation_id: str
    flags: str = "01"

    @property
    def traceparent(self) -> str:
        """The header value that hands this context on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self) -> TraceContext:
        """Return the context of a step below this one: same trace, new span."""
        return replace(self, span_id=_hex(8))


_current: ContextVar[TraceContext | None] = ContextVar("slipway_trace", default=None)


def current() -> TraceContext | None:
    """Return the trace of the running task, if it has one."""
    return _current.get()


def new(correlation_id: str | None = None) -> TraceContext:
    """Start a trace; without a usable correlation id the trace's own id serves."""
    drawn = _hex(24)  # once: it is a call of the system, and every connection has a trace
    return TraceContext(drawn[:32], drawn[32:], _safe(correlation_id) or drawn[:32])


def parse(traceparent: str | None, correlation_id: str | None = None) -> TraceContext | None:
    """Read what a caller sent; None when it is no valid traceparent (the caller starts a new trace then)."""
    match = _TRACEPARENT.match(traceparent or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # version ff is forbidden, version 00 has nothing behind its flags, and all-zero ids mean "none"
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, _safe(correlation_id) or trace_id, flags)


def accept(traceparent: str | None, correlation_id: str | None = None) -> TraceContext:
    """Continue the caller's trace in a new span, or start one."""
    parent = parse(traceparent, correlation_id)
    return new(correlation_id) if parent is None else parent.child()


@contextmanager
def use(trace: TraceContext) -> Generator[TraceContext]:
    """Make `trace` the current one inside the block (logs and envelopes pick it up)."""
    reset = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(reset)


class TelemetryMiddleware:
    """Pure ASGI: takes `traceparent` and `x-correlation-id` in, and answers both."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request inside its trace."""
        if scope["type"] == "lifespan":  # pyright: ignore[reportUnnecessaryComparison]  # ASGI allows it
            await self.app(scope, receive, send)
            return
        trace = accept(_header(scope, TRACE_HEADER), _header(scope, CORRELATION_HEADER))

        async def answer(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                headers = list(message.get("headers") or [])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # union of messages
                headers.append((TRACE_HEADER.encode(), trace.traceparent.encode()))  # pyright: ignore[reportUnknownMemberType]
                headers.append((CORRELATION_HEADER.encode(), trace.correlation_id.encode()))  # pyright: ignore[reportUnknownMemberType]
                message["headers"] = headers  # pyright: ignore[reportGeneralTypeIssues]
            await send(message)

        with use(trace):
            await self.app(scope, receive, answer)


def _header(scope: Scope, name: str) -> str | None:
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted), None)


def _safe(correlation_id: str | None) -> str | None:
    return correlation_id if correlation_id and _CORRELATION.match(correlation_id) else None


def _hex(size: int) -> str:
    return secrets.token_hex(size)
