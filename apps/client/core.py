"""One connection that is kept up, without any I/O: the decisions of `js/live.js`, by the same scenarios."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from apps.client.backoff import asked_wait, backoff
from apps.client.channels import Channels
from apps.client.route import Route
from apps.client.store import Store
from apps.client.surroundings import Detail
from apps.contracts.channels import OWN
from apps.contracts.protocol import Close

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apps.client.channels import Frame
    from apps.client.route import Transport
    from apps.client.surroundings import Socket, State, Surroundings, Timer

#: A connection that ended without a close.
BROKEN: Final = 1006
WELCOME_WITHIN: Final = 10.0
#: A stream is opened anew for another viewport: not for each step of a moving map.
SETTLE: Final = 0.3

#: Frames that are only told, and as what.
_TOLD: Final = {"resync": "resync", "presence": "presence", "error": "failure"}
_json: Final = msgspec.json.Decoder()


class Core:
    """Moved by calls from its surroundings; nothing here waits."""

    def __init__(
        self,
        world: Surroundings,
        *,
        transport: Literal["auto", "websocket", "sse"],
        inbox: bool,
        random: Callable[[], float],
    ) -> None:
        self.state: State = "stopped"
        self.store = Store()
        self.channels = Channels(inbox=inbox)
        self._world = world
        self._route = Route(transport)
        self._random = random
        self._viewport: str | None = None
        #: The viewport that was sent last on this connection.
        self._sent: str | None = None
        self._socket: Socket | None = None
        self._probe: Socket | None = None
        self._session: str | None = None
        self._token = ""
        # the client's frames are on their way; and something has changed since that a stream can't be told
        self._identified = self._outdated = False
        self._welcomed = False
        self._turn = self._attempt = self._refused = 0
        self._heartbeat = 25.0
        self._told: Transport | None = None
        self._retry: Timer | None = None
        self._watch: Timer | None = None
        self._settle: Timer | None = None
        self._probing: Timer | None = None

    @property
    def transport(self) -> Transport:
        """The way in that is used or tried now."""
        return self._route.transport

    # --- what the program wants -----------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected."""
        self._attempt = self._refused = 0
        self._open("connecting")

    def stop(self) -> None:
        """End it; `start` begins again where it was."""
        self._drop()
        self._become("stopped")

    def hurry(self) -> None:
        """Make the next attempt now, if one is waited for."""
        if self._retry is not None:
            self._open("reconnecting")

    def look(self, viewport: Frame) -> None:
        """Look at another place."""
        self._viewport = text = _text({"v": 1, "type": "viewport", **viewport})
        if self._identified and text != self._sent:
            self._say([text])
            if self._route.websocket:
                self._sent = text

    def subscribe(self, channels: Sequence[str], *, presence: bool) -> None:
        """Hear channels."""
        self._say([_text(frame) for frame in self.channels.add(channels, presence=presence)])

    def unsubscribe(self, channels: Sequence[str]) -> None:
        """Hear them no longer."""
        self._say([_text(frame) for frame in self.channels.remove(channels)])

    # --- opening --------------------------------------------------------------------------------------

    def _open(self, state: State | None) -> None:
        """Open a connection; no state: another stream takes the place of the one that is live."""
        self._drop(keep_probe=state is None)
        if state is not None:
            self._become(state)
        self._world.ask_token(self._turn, fresh=self._refused > 0)

    def token_given(self, turn: int, token: str | None) -> None:
        """Go on with a token, or end: nobody is signed in."""
        if turn != self._turn:
            return
        if not token:
            self._sign_out()
            return
        self._token = token
        if self._socket is not None:  # a websocket that came up beside the stream
            self._identify()
        elif self._route.websocket:
            self._attach(self._world.open("websocket", ()))
        else:
            self._attach(self._world.open("sse", self._frames()))

    def token_failed(self, turn: int, why: str) -> None:
        """Ask again later."""
        if turn == self._turn:
            self._drop()
            self._again(f"no token: {why}")

    def _attach(self, socket: Socket) -> None:
        self._socket = socket
        self._welcomed = False
        self._expect(WELCOME_WITHIN, "no welcome within 10 s")

    def opened(self, socket: Socket) -> None:
        """A websocket is open, or a stream answers."""
        if socket is self._probe:
            self._move_over(socket)
        elif socket is self._socket and self._route.websocket:
            self._identify()

    def _identify(self) -> None:
        for frame in self._frames():
            self._send(frame)

    def _frames(self) -> list[str]:
        """Who we are, where we were, and all that we want.

        The server needs no second message, and what it has still in force after a resume costs it nothing.
        """
        identify: Frame = {"v": 1, "type": "identify", "token": self._token}
        if self._session is not None and self.store.epoch is not None:
            identify |= {"since": self.store.seq, "epoch": self.store.epoch, "session": self._session}
        if self.channels.inbox:
            identify["inbox"] = self.channels.heard.get(OWN, "")
        self._sent = self._viewport
        self._identified = True
        self._outdated = False
        frames = [_text(frame) for frame in (identify, *self.channels.frames())]
        return frames if self._sent is None else [*frames, self._sent]

    # --- what the server says -------------------------------------------------------------------------

    def heard(self, socket: Socket, text: str) -> None:
        """Take a frame; an empty one is a heartbeat of a stream."""
        if socket is not self._socket:
            return
        if self._welcomed:
            self._expect(self._silence(), "the server has gone silent")
        if not text:
            return
        try:
            frame: Any = _json.decode(text)
            kind = frame["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            problem = {"code": "frame.malformed", "message": "the server sent a frame that is no JSON"}
            self._world.tell("failure", problem)
            return
        self._take(kind, frame)

    def _take(self, kind: str, frame: Frame) -> None:
        tell = self._world.tell
        if kind == "welcome":
            self._welcome(frame)
        elif kind == "snapshot":
            tell("change", self.store.snapshot(frame))
        elif kind == "delta":
            tell("change", self.store.delta(frame))
        elif kind == "messages":
            for message in self.channels.take(frame["messages"]):
                tell("message", message)
        elif kind == "subscribed":
            self.channels.subscribed(frame["channels"])
            tell("subscribed", frame["channels"])
        elif kind == "ping":
            self._send('{"v":1,"type":"pong"}')
        elif kind in _TOLD:
            tell(_TOLD[kind], frame)
        # newer servers may say more than we know

    def _welcome(self, frame: Frame) -> None:
        self._session = frame["session"]
        self._heartbeat = float(frame["heartbeat_seconds"])
        self._attempt = self._refused = 0
        self._welcomed = True
        self._expect(self._silence(), "the server has gone silent")
        self._route.welcomed()
        # another stream for another viewport is no news; another transport is
        if self.state != "live" or self._told != self._route.transport:
            self._become("live", recovered=bool(frame["recovered"]))
        self._probe_later()
        if self._outdated:
            self._reopen_soon()

    def _say(self, frames: Sequence[str]) -> None:
        if not self._identified:
            return  # all that is wanted goes with the identification
        if self._route.websocket:
            for frame in frames:
                self._send(frame)
            return
        self._outdated = True
        if self._welcomed:
            self._reopen_soon()

    def _send(self, text: str) -> None:
        if self._socket is not None:
            self._socket.send(text)

    def _reopen_soon(self) -> None:
        _cancel(self._settle)
        self._settle = self._world.call_later(SETTLE, lambda: self._open(None))

    # --- the end, and what follows --------------------------------------------------------------------

    def closed(self, socket: Socket, code: int, reason: str) -> None:
        """The server ended it, or the network did."""
        if socket is self._probe:
            self._probe_over()
        if socket is not self._socket:
            return
        self._drop()
        asked = asked_wait(reason)
        if code == Close.UNAUTHENTICATED:
            self._refused += 1
            # once with a fresh token; if that is refused too, asking again would not help
            if self._refused > 1:
                self._sign_out()
            else:
                self._wait(0.0, "reconnecting", "the token was refused")
        elif code == Close.RESTART:
            self._again("the server restarts", asked, "draining")
        elif code == BROKEN:
            self._broke("the connection broke")
        else:
            self._again(f"closed by the server ({code})", asked)

    def _broke(self, why: str) -> None:
        if not self._welcomed:
            self._route.failed()
        self._again(why)

    def _again(self, why: str, asked: float | None = None, state: State = "reconnecting") -> None:
        wait = backoff(self._attempt, self._random) if asked is None else asked
        self._attempt += 1
        self._wait(wait, state, why)

    def _wait(self, seconds: float, state: State, why: str) -> None:
        self._become(state, wait=seconds, why=why)
        self._retry = self._world.call_later(seconds, lambda: self._open("reconnecting"))

    def _sign_out(self) -> None:
        self._drop()
        self._become("signed-out", refused=self._refused > 0)

    def _silence(self) -> float:
        return self._heartbeat * 2 + 5

    def _expect(self, seconds: float, why: str) -> None:
        _cancel(self._watch)

        def silent() -> None:
            self._drop()
            self._broke(why)

        self._watch = self._world.call_later(seconds, silent)

    def _drop(self, *, keep_probe: bool = False) -> None:
        self._turn += 1
        for timer in (self._watch, self._retry, self._settle):
            _cancel(timer)
        self._retry = None
        self._identified = False
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()
        if not keep_probe:
            self._end_probe()

    # --- a websocket beside the stream ----------------------------------------------------------------

    def _probe_later(self) -> None:
        wait = self._route.probe_wait
        if wait is not None and self._probing is None:
            self._probing = self._world.call_later(wait, self._try_websocket)

    def _try_websocket(self) -> None:
        self._route.probed()
        self._probe = self._world.open("websocket", ())
        self._probing = self._world.call_later(WELCOME_WITHIN, self._probe_over)

    def _probe_over(self) -> None:
        self._end_probe()
        self._probe_later()

    def _end_probe(self) -> None:
        _cancel(self._probing)
        probe, self._probing, self._probe = self._probe, None, None
        if probe is not None:
            probe.close()

    def _move_over(self, probe: Socket) -> None:
        """It gets through: the session moves over."""
        self._probe = None
        self._drop()
        self._route.move_over()
        self._attach(probe)
        self._world.ask_token(self._turn, fresh=False)

    # --- telling --------------------------------------------------------------------------------------

    def _become(self, state: State, **more: Any) -> None:
        self.state = state
        self._told = self._route.transport
        self._world.tell("state", state, Detail(self._told, self._attempt, **more))


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()


def _text(frame: Frame) -> str:
    return json.dumps(frame, separators=(",", ":"))
