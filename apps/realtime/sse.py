"""Server-sent events where websockets are blocked: a POST has the client's frames, its answer the server's.

To the connection the exchange looks like a websocket, in ASGI's own messages: limits, identification,
session, resume and drain are the same code. The status waits for the first frame, so that what is refused
before it is an HTTP error with Problem Details, and what ends the stream later is its last event, `close`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException

from apps.contracts.protocol import Close, FrameError
from apps.platform import telemetry
from apps.platform.errors import (
    AppError,
    BadRequestError,
    ForbiddenError,
    InvalidError,
    RateLimitError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from apps.realtime.connection import Connection
from apps.realtime.raw import raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from apps.realtime.gateway import Gateway

PATH: Final = "/events"
#: Granian takes a handful of writes before it makes us wait, whatever their size: pieces bound their bytes.
_PIECE_BYTES: Final = 16_384
#: The server's future costs a thread hand-off when awaited and can't be cancelled: it is polled.
_POLL_SECONDS: Final = 0.005
_PING: Final = '{"v":1,"type":"ping"'
_ERROR: Final = '{"v":1,"type":"error"'
_POSITION: Final = re.compile(
    r'\{"v":1,"type":"(?:welcome|snapshot|delta|resync)",(?:"session":"[^"]*",)?"epoch":"([^"]*)","seq":(\d+)'
)


class LateError(AppError):
    """The client took too long to say who it is."""

    code, status, title = "identify.timeout", 408, "Request timeout"


#: What a close before the first frame is in HTTP; by code where that is more exact.
_REFUSALS: Final[dict[int | str, type[AppError]]] = {
    Close.RESTART: UnavailableError,
    Close.TRY_LATER: UnavailableError,
    Close.BAD_FRAME: BadRequestError,
    Close.UNAUTHENTICATED: UnauthenticatedError,
    Close.TIMEOUT: LateError,
    Close.TOO_LARGE: TooLargeError,
    Close.RATE: RateLimitError,
    "frame.invalid": InvalidError,
    "scope.missing": ForbiddenError,
}


def _refusal(close: int, reason: str, error: str) -> AppError:
    """Return the HTTP error for a close with its reason and the error frame before it, if there was one."""
    said, why = _object(error), _object(reason)
    code = str(said.get("code") or why.get("code") or "gateway.draining")
    kind = _REFUSALS.get(code) or _REFUSALS.get(close, BadRequestError)
    detail = str(said.get("message") or f"the gateway ended the exchange with {close}")
    if said.get("hint"):
        detail = f"{detail}; {said['hint']}"
    headers: dict[str, str] = {}
    if kind is UnavailableError:
        milliseconds = int(why.get("retry_ms", 1000))
        headers["retry-after"] = str(-(-milliseconds // 1000))
        # whole seconds would bring back together whom the gateway has told times of their own
        headers["retry-after-ms"] = str(milliseconds)
    elif kind is UnauthenticatedError:
        headers["www-authenticate"] = "Bearer"
    return kind(detail, code=code, headers=headers)


def _object(text: str) -> dict[str, Any]:
    with suppress(ValueError):
        found: Any = json.loads(text)
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    return {}


class _Taken:
    """What a write is that the server took at once; its own object has no `done`."""

    def done(self) -> bool:
        return True

    def __await__(self) -> Any:
        return iter(())


_TAKEN: Final = _Taken()


class EventStream:
    """One exchange as a websocket: `receive` gives the body's frames, `send` writes events."""

    def __init__(
        self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any], max_bytes: int
    ) -> None:
        self.refused: AppError | None = None
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._frames: deque[bytes] | None = None
        self._error = ""
        self._started = False
        self._ended = False
        self._writing: asyncio.Task[None] | None = None
        trace = telemetry.current()
        self._trace = [] if trace is None else [
            (telemetry.TRACE_HEADER.encode(), trace.traceparent.encode()),
            (telemetry.CORRELATION_HEADER.encode(), trace.correlation_id.encode()),
        ]  # fmt: skip

    # --- in -------------------------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """Return the body's next frame; after the last one wait for the client to leave."""
        if self._frames is None:
            self._frames = await self._read()
        if self._frames:
            return {"type": "websocket.receive", "text": self._frames.popleft()}
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._ended = True
        if self._writing is not None:
            self._writing.cancel()
        return {"type": "websocket.disconnect"}

    async def _read(self) -> deque[bytes]:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return deque()
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise FrameError(
                    Close.TOO_LARGE, "body.too_large", f"a request has at most {self._max_bytes} bytes"
                )
            if not message.get("more_body"):
                return _frames(bytes(body))

    # --- out ------------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> Any:
        """Write a frame or the end; what is returned can be awaited and says whether it is `done`."""
        if message["type"] == "websocket.close":
            return self._end(int(message["code"]), str(message["reason"]))
        if self._ended:
            return _TAKEN  # the hub may not know yet; the server would raise, where a websocket's is silent
        frame: str = message["text"]
        if not self._started:
            if frame.startswith(_ERROR):
                self._error = frame
                return _TAKEN
            self._start()
        return self._write(_event(frame).encode())

    def _start(self) -> None:
        self._started = True
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store, no-transform"),
            (b"x-accel-buffering", b"no"),
            *self._trace,
        ]
        self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _write(self, event: bytes) -> Any:
        if len(event) > _PIECE_BYTES:
            self._writing = asyncio.create_task(self._write_pieces(event))
            return self._writing
        sending = self._send({"type": "http.response.body", "body": event, "more_body": True})
        return sending if hasattr(sending, "done") else _TAKEN

    async def _write_pieces(self, event: bytes) -> None:
        for start in range(0, len(event), _PIECE_BYTES):
            sending = self._write(event[start : start + _PIECE_BYTES])
            while not sending.done():  # noqa: ASYNC110  # see _POLL_SECONDS
                await asyncio.sleep(_POLL_SECONDS)

    async def _end(self, code: int, reason: str) -> None:
        self._ended = True
        if not self._started:
            self.refused = _refusal(code, reason, self._error)
            return
        if self._writing is not None and not self._writing.done():
            # the reader has half an event and takes no more of it: nothing that follows could be read
            self._writing.cancel()
            return
        last = f"event: close\ndata: {json.dumps({'code': code, 'reason': reason})}\n\n"
        await self._send({"type": "http.response.body", "body": last.encode(), "more_body": False})


def _frames(body: bytes) -> deque[bytes]:
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FrameError(
            Close.BAD_FRAME,
            "body.malformed",
            f"the body is no JSON array of frames: {error}",
            "see the guide",
        ) from None
    if not items:
        raise FrameError(
            Close.UNAUTHENTICATED, "identify.first", "the first frame is identify", "send your token"
        )
    return deque(bytes(item) for item in items)


def _event(frame: str) -> str:
    if frame.startswith(_PING):
        return ": heartbeat\n\n"  # nobody could answer it
    if "\n" in frame:
        frame = frame.replace("\n", " ")  # between two values: inside a JSON text it is escaped
    position = _POSITION.match(frame)
    head = f"id: {position[1]}/{position[2]}\n" if position else ""
    return f"{head}data: {frame}\n\n"


def route(gateway: Gateway) -> ASGIRouteHandler:
    """Return the handler of `POST /events`."""

    @asgi(PATH, copy_scope=False)
    async def serve_events(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI
        if cast("Any", scope)["method"] != "POST":
            raise MethodNotAllowedException(headers={"allow": "POST"})
        refusal = gateway.refusal()
        if refusal is not None:
            raise _refusal(*refusal, '{"message":"the gateway takes no further connection now"}')
        stream = EventStream(*raw(scope), gateway.settings.max_message_bytes)
        connection = Connection(gateway, stream.receive, stream.send, one_way=True)
        gateway.connections.add(connection)
        await connection.run()
        if stream.refused is not None:
            raise stream.refused

    return serve_events
