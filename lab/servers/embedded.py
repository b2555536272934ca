"""What the servers of this machine share: their state folder, the process, TLS before it, an orderly end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar, Literal

from lab.servers import tls
from lab.servers.process import LOOPBACK, Kept
from lab.servers.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lab.servers.external import Postgres, Redis


class Embedded:
    """Base of the servers; `durable=False` is for tests, whose data nobody needs after a crash."""

    #: Of the front before the server.
    name: ClassVar[str]
    protocol: ClassVar[Literal["postgres", "plain"]] = "plain"

    def __init__(self, state: State | Path, *, durable: bool = True) -> None:
        self.state = state if isinstance(state, State) else State(state)
        self.durable = durable
        self._server: Kept | None = None
        self._front: tls.TlsFront | None = None

    def ended(self) -> Kept | None:
        """The server, if it has ended without being asked to."""
        return self._server if self._server is not None and not self._server.alive else None

    async def stop(self) -> None:
        """The front first, so that no client sees the server go down half-way."""
        if self._front is not None:
            await self._front.stop()
        if self._server is not None:
            await self._server.stop()
        # forgotten only now: a stop that was cut short is done again by the next one
        self._front = self._server = None

    @contextlib.asynccontextmanager
    async def _stopped_on_failure(self) -> AsyncGenerator[None]:
        """A start that fails or is cut short leaves nothing running."""
        try:
            yield
        except BaseException:
            await self.stop()
            raise

    async def _secured(self, found: Postgres | Redis, issued: tls.Authority) -> tuple[str, int, Path]:
        """Host, port, CA file of a server of the user's: its own when it has TLS, else those of our front."""
        if found.ca_file is not None:
            return found.host, found.port, found.ca_file
        self._front = tls.TlsFront(self.state, self.name, self.protocol, host=found.host, port=found.port)
        self._front.launch(issued)
        return LOOPBACK, await self._front.ready(), issued.ca_file
