"""What all connections of the process share: their list, the views they set, their end."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg

from apps.contracts import protocol
from apps.contracts.protocol import Close
from apps.platform import postgres
from apps.platform.log import Log
from apps.platform.pacing import Bell
from apps.realtime.limits import Bucket

if TYPE_CHECKING:
    from apps.platform.auth import TokenVerifier
    from apps.realtime.bus import Bus
    from apps.realtime.connection import Connection
    from apps.realtime.hub import Client, Hub
    from apps.realtime.messages import Messages
    from apps.realtime.session import Session, View
    from apps.realtime.settings import RealtimeSettings
    from apps.realtime.store import SnapshotStore

log = Log("slipway.gateway")

CHECK_SECONDS: Final = 1.0
#: Who is turned away comes back after this long at most, whoever else is.
_LONGEST_TURN_SECONDS: Final = 25.0
#: The last close frames of a drain get this long to be written.
_FLUSH_SECONDS: Final = 3.0


class Gateway:
    """A service: looks after every connection each second."""

    name = "gateway"

    def __init__(
        self,
        settings: RealtimeSettings,
        *,
        hub: Hub,
        bus: Bus,
        store: SnapshotStore,
        verifier: TokenVerifier,
        messages: Messages,
    ) -> None:
        self.settings = settings
        self.hub = hub
        self.verifier = verifier
        self.messages = messages
        self.connections: set[Connection] = set()
        self.draining = False
        self.refused = 0
        self.identified = 0
        self._arrivals = Bucket(settings.connections_per_second, settings.connection_burst, time.monotonic())
        self._next_turn = 0.0
        self._bus = bus
        self._store = store
        # users whose filters changed: bounded by the number of users here
        self._changed: set[str] = set()
        self._edits = 0
        self._bell = Bell()
        self._ended = asyncio.Event()

    # --- arrivals -------------------------------------------------------------------------------------

    def refusal(self) -> tuple[Close, str] | None:
        """Return how a connection is turned away that can't be taken now, None when it can.

        Whoever comes back after a failure comes with everybody else: of more than can be served each is told
        a time of its own, so that those who are let in are not late because of the others.
        """
        if self.draining:
            return Close.RESTART, protocol.restart_reason(1000)
        now, open_now = time.monotonic(), len(self.connections)
        full = open_now >= self.settings.max_connections
        busy = open_now - self.identified >= self.settings.max_identifying
        if not full and not busy and self._arrivals.take(now):
            return None
        self.refused += 1
        # one after the other, as fast as they are taken
        turn = max(self._next_turn, now) + 1 / self.settings.connections_per_second
        self._next_turn = min(turn, now + _LONGEST_TURN_SECONDS)
        wait = self._next_turn - now
        wait *= random.uniform(0.9, 1.1)  # noqa: S311  # jitter
        reason = "gateway.full" if full else "gateway.busy"
        return Close.TRY_LATER, protocol.busy_reason(reason, 100 + int(wait * 1000))

    # --- views ----------------------------------------------------------------------------------------

    def look_at(self, client: Client, view: View) -> None:
        """Give a session another view: registered first, shown once a processor delivers for it."""
        if self.hub.clients.get(client.session.id) is not client:
            return  # forgotten while its filters were read: its slot is not its own any more
        client.session.look_at(view, self._bus.next_rev())
        self._bus.register(client)

    async def with_filters(self, session: Session, view: View) -> View:
        """Return the view with the filters its ids name now."""
        edits = self._edits
        found = replace(view, filters=await self._store.filters(session.user, view.filter_ids))
        if edits != self._edits:
            # perhaps one of these after it was read: look once more when the view is in force
            self._note_changed(session.user)
        return found

    def filters_changed(self, user: str) -> None:
        """Read a user's filters again where a view of theirs has any."""
        if user in self.hub.by_user:
            self._edits += 1
            self._note_changed(user)

    def _note_changed(self, user: str) -> None:
        self._changed.add(user)
        self._bell.ring()

    async def _refresh(self, user: str) -> None:
        for session_id in list(self.hub.by_user.get(user, ())):
            client = self.hub.clients.get(session_id)
            view = client.session.view if client is not None else None
            if client is None or view is None or not view.filter_ids:
                continue
            fresh = await self.with_filters(client.session, view)
            if client.session.view is view and fresh != view:
                self.look_at(client, fresh)

    # --- looking after --------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Check connections each second and filters as they change, until told to stop."""
        check_at = 0.0
        with self._bell.also(stop):
            while not stop.is_set():
                await self._bell.wait(CHECK_SECONDS)
                self._bell.heard()
                await self._refresh_changed()
                now = time.monotonic()
                if now >= check_at:
                    check_at = now + CHECK_SECONDS
                    self._check(now, time.time())

    def _check(self, now: float, wall: float) -> None:
        for connection in list(self.connections):
            connection.check(now, wall)
        self.hub.forget_detached(now - self.settings.resume_seconds)

    async def _refresh_changed(self) -> None:
        while self._changed:
            # taken off the list before it is read: a change that comes meanwhile lists the user again
            user = self._changed.pop()
            try:
                await self._refresh(user)
            except (*postgres.UNAVAILABLE, psycopg.Error) as error:
                log.warning("filters.unavailable", error=f"{type(error).__name__}: {error}")
                self._changed.add(user)
                return  # the next second tries again

    def left(self, connection: Connection) -> None:
        """Forget a connection whose last frame is written."""
        self.connections.discard(connection)
        self.identified -= connection.client is not None
        self._ended.set()

    # --- the end --------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Close every client with 1012 and when to come back, in batches: they shall not return at once."""
        self.draining = True
        connections = list(self.connections)
        log.info("gateway.draining", connections=len(connections))
        for start in range(0, len(connections), self.settings.drain_batch):
            for connection in connections[start : start + self.settings.drain_batch]:
                retry = random.randint(100, self.settings.retry_milliseconds)  # noqa: S311  # jitter
                connection.close(Close.RESTART, protocol.restart_reason(retry))
            await asyncio.sleep(self.settings.drain_pause_milliseconds / 1000)
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                while self.connections:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            log.warning("gateway.drain_cut", connections=len(self.connections))
        log.info("gateway.drained", connections=len(connections))
