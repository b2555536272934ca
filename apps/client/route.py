"""Which way in: websockets, or server-sent events where something between lets no websocket through. Pure."""

from __future__ import annotations

from typing import Final, Literal

Transport = Literal["websocket", "sse"]

#: Websockets in a row that never came up until the stream is tried.
BLOCKED: Final = 2
FIRST_PROBE: Final = 60.0
LONGEST_PROBE: Final = 900.0


class Route:
    """The transport of the next attempt, from how the former ones ended."""

    def __init__(self, wanted: Literal["auto", "websocket", "sse"]) -> None:
        self.transport: Transport = "sse" if wanted == "sse" else "websocket"
        self._auto = wanted == "auto"
        self._blocked = 0
        self._probes = 0

    @property
    def websocket(self) -> bool:
        """Whether it is a websocket's turn."""
        return self.transport == "websocket"

    def welcomed(self) -> None:
        """The server answered."""
        if self.websocket:
            self._blocked = self._probes = 0

    def failed(self) -> None:
        """An attempt ended without a word of the server: after a stream it is a websocket's turn again."""
        if not self._auto:
            return
        self._blocked = self._blocked + 1 if self.websocket else BLOCKED - 1
        self.transport = "sse" if self._blocked >= BLOCKED else "websocket"

    @property
    def probe_wait(self) -> float | None:
        """Seconds until a websocket is tried beside the stream; None: never."""
        return (
            min(FIRST_PROBE * 2**self._probes, LONGEST_PROBE) if self._auto and not self.websocket else None
        )

    def probed(self) -> None:
        """One was tried."""
        self._probes = min(self._probes + 1, 10)

    def move_over(self) -> None:
        """A websocket beside the stream came up."""
        self.transport = "websocket"
        self._blocked = BLOCKED - 1
