"""One websocket: receives, decodes and obeys; every way it can end has its close code."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import psycopg

from apps.contracts import protocol
from apps.contracts.protocol import Close, FrameError, Identify, Ping, Subscribe, Unsubscribe, Viewport
from apps.platform import postgres, telemetry
from apps.platform.errors import AppError
from apps.platform.log import Log
from apps.realtime.limits import Bucket, Heartbeat
from apps.realtime.session import View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apps.platform.auth import Identity
    from apps.realtime.channels import Listener
    from apps.realtime.gateway import Gateway
    from apps.realtime.hub import Client
    from apps.realtime.session import Session

log = Log("slipway.connection")

READ_SCOPE: Final = "entities:read"
#: A close frame that can't be written by then never will.
CLOSE_SECONDS: Final = 2.0
#: Wait for the frame that is on its way before the close.
_LAST_FRAME_SECONDS: Final = 1.0


class Connection:
    """Lives in the task that serves the socket; others only call `close` and `check`."""

    def __init__(
        self,
        gateway: Gateway,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Any],
        *,
        one_way: bool = False,
    ) -> None:
        """`one_way`: the client can't answer pings (server-sent events)."""
        settings = gateway.settings
        now = time.monotonic()
        self.client: Client | None = None
        self.identity: Identity | None = None
        self.listener: Listener | None = None
        self.closing: tuple[Close, str] | None = None
        self._gateway = gateway
        self._receive = receive
        self._raw_send = send
        # one object: the hub recognises the socket by it
        self._send = self._send_text
        self._task = asyncio.current_task()
        self._bucket = Bucket(settings.messages_per_second, settings.message_burst, now)
        self._heartbeat = Heartbeat(settings.ping_interval_seconds, now)
        self._identify_by = now + settings.identify_seconds
        self._expires_at = 0.0
        self._trace = telemetry.new()
        self._receiving = False
        self._one_way = one_way
        self._recovered = False

    def _send_text(self, frame: str) -> Any:
        return self._raw_send({"type": "websocket.send", "text": frame})

    # --- the socket's own task ------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until either side ends the connection."""
        try:
            await self._serve()
        finally:
            self._gateway.left(self)

    async def _serve(self) -> None:
        error: protocol.ErrorFrame | None = None
        try:
            await self._follow()
        except FrameError as problem:
            self.closing = (problem.close, protocol.close_reason(problem.code))
            error = protocol.ErrorFrame(
                problem.code,
                str(problem),
                problem.hint,
                self._trace.traceparent,
                self._trace.correlation_id,
            )
        except asyncio.CancelledError:
            if self.closing is None:
                raise
            if self._task is not None:
                self._task.uncancel()
        finally:
            sending = self._leave()
        if self.closing is not None:
            await self._say_goodbye(sending, error)

    async def _follow(self) -> None:
        while self.closing is None:
            message = await self._next()
            if message["type"] == "websocket.disconnect":
                return
            with telemetry.use(self._trace):
                await self._take(message)

    async def _next(self) -> Any:
        # only a pending receive is cancelled by `close`: what a frame began is finished first
        self._receiving = True
        try:
            return await self._receive()
        finally:
            self._receiving = False

    def _leave(self) -> Any:
        if self.listener is not None:
            self._gateway.messages.close(self.listener)
        if self.client is None:
            return None
        sending = self.client.sending if self.client.send is self._send else None
        if self.closing is not None and self.closing[0] not in {Close.RESTART, Close.TIMEOUT}:
            # closed for a reason: nothing to resume, unless it was taken over by a newer socket
            if self.client.send is self._send:
                self._gateway.hub.forget(self.client)
        else:
            self._gateway.hub.detach(self.client, self._send)
        return sending

    async def _say_goodbye(self, sending: Any, error: protocol.ErrorFrame | None) -> None:
        code, reason = self.closing or (Close.BAD_FRAME, "")
        end = time.monotonic() + _LAST_FRAME_SECONDS
        while sending is not None and not sending.done() and time.monotonic() < end:  # noqa: ASYNC110  # see below
            # the server's future costs a thread hand-off when awaited and can't be cancelled: it is polled
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if error is not None:
                    await self._send_text(protocol.encode(error))
                await self._raw_send({"type": "websocket.close", "code": int(code), "reason": reason})
        except Exception as problem:  # noqa: BLE001  # whatever the server raises, the socket is gone
            log.debug("connection.gone", error=f"{type(problem).__name__}: {problem}")

    # --- from others ----------------------------------------------------------------------------------

    def close(self, code: Close, reason: str) -> None:
        """End the connection with a close frame; the pending receive is cancelled first, or it would hang."""
        if self.closing is not None:
            return
        text = reason if reason.startswith("{") else protocol.close_reason(reason)
        self.closing = (code, text)
        if self._task is not None and self._receiving:
            self._task.cancel()

    def check(self, now: float, wall: float) -> None:
        """Close what is late, expired or dead; ping what is silent. Called each second."""
        if self.client is None:
            if now >= self._identify_by:
                self.close(Close.TIMEOUT, "identify.timeout")
            return
        if self._expires_at <= wall:
            self.close(Close.UNAUTHENTICATED, "token.expired")
            return
        if self._heartbeat.due(now):
            if self._heartbeat.missed >= 2 and not self._one_way:
                self.close(Close.TIMEOUT, "heartbeat.missed")
                return
            self._gateway.hub.send(self.client, protocol.encode(protocol.ServerPing(*_trace_of(self.client))))

    # --- frames ---------------------------------------------------------------------------------------

    async def _take(self, message: Any) -> None:
        now = time.monotonic()
        self._heartbeat.heard(now)
        self._gateway.hub.counts.received += 1
        if not self._bucket.take(now):
            raise FrameError(
                Close.RATE,
                "rate.exceeded",
                f"more than {self._gateway.settings.messages_per_second:g} frames a second",
                "send a viewport when the map comes to rest",
            )
        frame = protocol.decode_client(message.get("text"), self._gateway.settings.max_message_bytes)
        if isinstance(frame, Identify):
            await self._identify(frame)
        elif self.client is None:
            raise FrameError(
                Close.UNAUTHENTICATED, "identify.first", "the first frame is identify", "send your token"
            )
        elif isinstance(frame, Viewport):
            await self._look_at(self.client, frame)
        elif isinstance(frame, Ping):
            self._gateway.hub.send(self.client, protocol.encode(protocol.ServerPong(*_trace_of(self.client))))
        elif isinstance(frame, Subscribe | Unsubscribe) and self.listener is not None:
            self._listen(self.client, self.listener, frame)

    async def _identify(self, frame: Identify) -> None:
        if self.client is not None:
            raise FrameError(Close.BAD_FRAME, "identify.again", "this connection is identified already")
        self._trace = telemetry.accept(frame.traceparent, frame.correlation_id)
        try:
            identity = await self._gateway.verifier.verify(frame.token)
            identity.require(READ_SCOPE)
        except AppError as error:
            close = Close.TRY_LATER if error.status == 503 else Close.UNAUTHENTICATED
            raise FrameError(close, error.reason, str(error), "get a new token and identify again") from None
        self.identity = identity
        self._expires_at = identity.expires_at
        hub = self._gateway.hub
        resumed = None
        if frame.session is not None and frame.epoch is not None and frame.since is not None:
            resumed = hub.resume(frame.session, identity, frame.epoch, frame.since)
        client, missed = resumed or (hub.open(secrets.token_hex(12), identity), [])
        session = client.session
        session.traced(self._trace.traceparent, self._trace.correlation_id)
        welcome = protocol.Welcome(
            session.id,
            session.epoch,
            frame.since if resumed and frame.since is not None else session.seq,
            recovered=resumed is not None,
            heartbeat_seconds=self._gateway.settings.ping_interval_seconds,
            traceparent=session.traceparent,
            correlation_id=session.correlation_id,
        )
        self.client = client
        self._gateway.identified += 1
        self._recovered = resumed is not None
        client.send, client.close, client.sending = self._send, self.close, None
        client.owed = len(missed)
        session.frames.extend((protocol.encode(welcome), *missed))
        self.listener = self._gateway.messages.open(client, frame.inbox)
        hub.touch(client)
        with telemetry.use(self._trace):
            log.info("session.opened", session=session.id, user=session.user, recovered=resumed is not None)

    async def _look_at(self, client: Client, frame: Viewport) -> None:
        session = client.session
        if frame.traceparent:
            trace = telemetry.accept(frame.traceparent, frame.correlation_id)
            session.traced(trace.traceparent, trace.correlation_id)
        try:
            bounds = protocol.bounds_of(frame)
        except ValueError as error:
            self._complain(client, "viewport.invalid", str(error), "the former viewport stays in force")
            return
        view = View(bounds, frame.zoom, tuple(frame.kinds), tuple(dict.fromkeys(frame.filters)))
        if self._still_in_force(session, view):
            return
        if view.filter_ids:
            found = await self._filters(client, view)
            if found is None:
                return
            view = found
        self._gateway.look_at(client, view)

    def _still_in_force(self, session: Session, view: View) -> bool:
        """Whether a resume brought this view along: a stream names it in any case, and needs no snapshot."""
        recovered, self._recovered = self._recovered, False
        return recovered and session.view is not None and replace(session.view, filters=()) == view

    async def _filters(self, client: Client, view: View) -> View | None:
        try:
            found = await self._gateway.with_filters(client.session, view)
        except (*postgres.UNAVAILABLE, psycopg.Error) as error:
            log.warning("filters.unavailable", error=f"{type(error).__name__}: {error}")
            self._complain(client, "filters.unavailable", "saved filters can't be read now", "send it again")
            return None
        missing = set(view.filter_ids) - {saved.id for saved in found.filters}
        if missing:
            self._complain(client, "filter.unknown", f"you have no filter {', '.join(sorted(missing))}", "")
        return found

    def _listen(self, client: Client, listener: Listener, frame: Subscribe | Unsubscribe) -> None:
        if isinstance(frame, Subscribe):
            for code, message, hint in self._gateway.messages.subscribe(listener, frame):
                self._complain(client, code, message, hint)
            return
        gone = self._gateway.messages.unsubscribe(listener, frame.channels)
        self._gateway.hub.send(client, protocol.encode(protocol.Unsubscribed(gone, *_trace_of(client))))

    def _complain(self, client: Client, code: str, message: str, hint: str) -> None:
        frame = protocol.ErrorFrame(code, message, hint, *_trace_of(client))
        self._gateway.hub.send(client, protocol.encode(frame))


def _trace_of(client: Client) -> tuple[str, str]:
    return client.session.traceparent, client.session.correlation_id
