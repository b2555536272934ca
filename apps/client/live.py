"""The client as a program uses it: an asynchronous context that stays connected, and the changes it has."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import aiohttp

from apps.client.core import Core
from apps.client.transports import Stream, Websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from apps.client.route import Transport
    from apps.client.store import Changes, Entity
    from apps.client.surroundings import Socket, State

    Token = Callable[[bool], str | Awaitable[str | None] | None]
    Event = Literal["state", "change", "resync", "message", "subscribed", "presence", "failure"]

_CONNECT_SECONDS: Final = 10.0
_log: Final = logging.getLogger("slipway.client")


class SignedOutError(Exception):
    """There is no token, or a fresh one was refused: the client has stopped trying."""


@dataclass(frozen=True, slots=True)
class Change:
    """The newest state of one entity; `entity` is None when it is gone from the view."""

    id: str
    entity: Entity | None


class Live:
    """Made by `connect`; everything in it runs on the event loop that entered it.

    `entities` is the merged state. Iterating gives what has changed since it was asked for last, newest state
    per entity, oldest change first: who reads slowly is given fewer changes, never an unbounded queue.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        transport: Literal["auto", "websocket", "sse"],
        inbox: bool,
        session: aiohttp.ClientSession | None,
    ) -> None:
        self._url = url.rstrip("/")
        self._ask = token
        self._own_session = session is None
        self._session = session
        self._core = Core(self, transport=transport, inbox=inbox, random=random.random)
        self._listeners: dict[str, list[Callable[..., None]]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        # newest change of each entity that the program has not taken, and what it holds: bounded by entities
        self._pending: dict[str, Change] = {}
        self._taken: set[str] = set()
        self._wake = asyncio.Event()
        self._is_live = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Begin to connect; `ready` waits for the server."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
            # the load balancer's cookie leads a reconnect to the task that holds the session, at any address
            jar = aiohttp.CookieJar(unsafe=True)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=jar)
        self._core.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self._core.stop()
        for task in self._asking:
            task.cancel()
        if self._own_session and self._session is not None:
            await self._session.close()

    # --- what the program asks ------------------------------------------------------------------------

    @property
    def entities(self) -> Mapping[str, Entity]:
        """Everything in view, by id, newest versions."""
        return self._core.store.entities

    @property
    def state(self) -> State:
        """How the connection stands."""
        return self._core.state

    @property
    def transport(self) -> Transport:
        """Which way in is used now."""
        return self._core.transport

    async def ready(self) -> None:
        """Wait until the server has welcomed us; raises `SignedOutError` when it will not."""
        while not self._is_live.is_set():
            self._require_signed_in()
            self._wake.clear()
            await self._wake.wait()

    def look_at(
        self,
        *,
        west: float,
        south: float,
        east: float,
        north: float,
        zoom: float = 0.0,
        filters: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> None:
        """Look at a box in degrees, over reconnects too; `west > east` crosses the antimeridian."""
        box = {"west": west, "south": south, "east": east, "north": north, "zoom": zoom}
        self._core.look({**box, "filters": list(filters), "kinds": list(kinds)})

    def subscribe(self, *channels: str, presence: bool = False) -> None:
        """Hear channels, also after a reconnect, from where they were heard last."""
        self._core.subscribe(channels, presence=presence)

    def unsubscribe(self, *channels: str) -> None:
        """Hear them no longer."""
        self._core.unsubscribe(channels)

    def on(self, event: Event, listener: Callable[..., None]) -> Callable[[], None]:
        """Call `listener` for every such event; returns what takes it off again."""
        known = self._listeners.setdefault(event, [])
        known.append(listener)
        return lambda: known.remove(listener)

    async def __aiter__(self) -> AsyncIterator[Change]:
        """Give changes as they come; raises `SignedOutError` when no more can come."""
        while True:
            while self._pending:
                change = self._pending.pop(next(iter(self._pending)))
                if change.entity is None:
                    self._taken.discard(change.id)
                else:
                    self._taken.add(change.id)
                yield change
            if self.state == "stopped":
                return
            self._require_signed_in()
            self._wake.clear()
            await self._wake.wait()

    def _require_signed_in(self) -> None:
        if self.state == "signed-out":
            raise SignedOutError("no token that the server takes; hint: give `token` one that holds")

    # --- what the core asks ---------------------------------------------------------------------------

    def ask_token(self, turn: int, *, fresh: bool) -> None:
        """Ask the program for a token."""
        task = asyncio.create_task(self._get_token(turn, fresh=fresh))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _get_token(self, turn: int, *, fresh: bool) -> None:
        try:
            answer = self._ask(fresh)
            token = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # noqa: BLE001  # whatever the program's issuer raises: asked again later
            self._core.token_failed(turn, f"{type(error).__name__}: {error}")
            return
        self._core.token_given(turn, token)

    def open(self, transport: Transport, frames: Sequence[str]) -> Socket:
        """Begin to connect."""
        session = self._session
        if session is None:
            raise RuntimeError("enter the client first: async with connect(...) as live")
        if transport == "websocket":
            return Websocket(self._core, session, f"{self._url}/ws")
        return Stream(self._core, session, f"{self._url}/events", frames)

    def call_later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        """Call `act` then."""
        return asyncio.get_running_loop().call_later(seconds, act)

    def tell(self, event: str, *what: Any) -> None:
        """Take what happened, and tell whoever listens."""
        if event == "change":
            self._note(what[0])
        elif event == "state":
            if what[0] == "live":
                self._is_live.set()
            else:
                self._is_live.clear()
        self._wake.set()
        for listener in list(self._listeners.get(event, ())):
            try:
                listener(*what)
            except Exception:  # noqa: BLE001  # a listener's mistake must not end the connection
                _log.exception("a listener of %s failed", event)

    def _note(self, changes: Changes) -> None:
        for entity in changes.upserts:
            self._pending[entity["id"]] = Change(entity["id"], entity)
        for name in changes.removes:
            if name in self._taken:
                self._pending[name] = Change(name, None)
            else:
                self._pending.pop(name, None)  # it came and went unseen


def connect(
    url: str,
    *,
    token: Token,
    transport: Literal["auto", "websocket", "sse"] = "auto",
    inbox: bool = False,
    session: aiohttp.ClientSession | None = None,
) -> Live:
    """Return a client of the service at `url` (its origin, `https://map.example.com`), to be entered.

    `token(fresh)` gives a bearer token, a new one when `fresh`; it may be a coroutine function, and gives
    None when nobody is signed in. `inbox`: hear what is sent to the user. `session`: the program's own HTTP
    session, with its proxies and certificates.
    """
    return Live(url, token, transport=transport, inbox=inbox, session=session)
