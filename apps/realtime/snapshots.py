"""Loads snapshots: a bounded number at once, the newest view of a session only, full ones not too often."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import psycopg

from apps.platform import postgres
from apps.platform.log import Log
from apps.platform.pacing import Bell, run_until
from apps.realtime.session import Phase

if TYPE_CHECKING:
    from apps.realtime.hub import Client, Hub
    from apps.realtime.store import SnapshotStore

log = Log("slipway.snapshots")


class Snapshots:
    """A service: clients wait in order of request, each once."""

    name = "snapshots"

    def __init__(self, hub: Hub, store: SnapshotStore, *, at_once: int, pause_seconds: float) -> None:
        self.loaded = 0
        self.failed = 0
        self._hub = hub
        self._store = store
        self._at_once = at_once
        self._pause = pause_seconds
        # a dict keeps the order and holds each session once: bounded by the number of sessions
        self._wanted: dict[str, Client] = {}
        self._running: dict[str, bool] = {}
        self._replaced_at: dict[str, float] = {}
        self._bell = Bell()

    def request(self, client: Client) -> None:
        """Load a snapshot for the session's view as it is then."""
        session = client.session.id
        if session in self._running:
            self._running[session] = True  # once more: something changed since it began
            return
        self._wanted[session] = client
        self._bell.ring()

    async def run(self, stop: asyncio.Event) -> None:
        """Load until told to stop."""
        await run_until(stop, *(self._work() for _ in range(self._at_once)))

    async def _work(self) -> None:
        while True:
            while not self._wanted:
                self._bell.heard()
                await self._bell.wait()
            # in a call of its own: a worker that waits keeps no client that left
            await self._next()

    async def _next(self) -> None:
        session = next(iter(self._wanted))
        client = self._wanted.pop(session)
        self._running[session] = False
        try:
            await self._load(client)
        finally:
            again = self._running.pop(session)
        if again and session in self._hub.clients:
            self.request(client)
        elif session not in self._hub.clients:
            self._replaced_at.pop(session, None)

    def forget(self, session: str) -> None:
        """Drop what is kept for a session that ended."""
        self._wanted.pop(session, None)
        self._replaced_at.pop(session, None)

    async def _load(self, client: Client) -> None:
        session = client.session
        view, rev = session.view, session.changed_rev
        known = self._hub.clients.get(session.id) is client
        if view is None or session.phase is not Phase.LOADING or not known:
            return
        if session.frames and client.send is not None:
            # it reads slowly: a snapshot per view it asked for would pile up
            client.load_when_read = True
            return
        if self._too_soon(client):
            return
        try:
            rows, truncated = await self._store.snapshot(
                session.user, session.groups, view, everything=session.everything
            )
        except (*postgres.UNAVAILABLE, psycopg.Error) as error:
            self.failed += 1
            log.warning("snapshot.failed", error=f"{type(error).__name__}: {error}", session=session.id)
            await asyncio.sleep(0.5)
            self._running[session.id] = True
            return
        if session.changed_rev != rev or session.phase is not Phase.LOADING or self._running[session.id]:
            return  # a newer view, or one that waits for its processor: its own snapshot follows
        if session.replace:
            self._replaced_at[session.id] = time.monotonic()
        self.loaded += 1
        self._hub.show(client, rows, truncated=truncated)

    def _too_soon(self, client: Client) -> bool:
        """Whether a client that was overrun must wait: else it would be sent everything again and again."""
        session = client.session
        if not session.overrun:
            return False
        left = self._replaced_at.get(session.id, 0.0) + self._pause - time.monotonic()
        if left <= 0:
            session.overrun = False
            return False
        asyncio.get_running_loop().call_later(left, self.request, client)
        return True
