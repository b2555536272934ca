"""What the core tells and what it needs of the world around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apps.client.route import Transport

State = Literal["connecting", "live", "reconnecting", "draining", "signed-out", "stopped"]


@dataclass(frozen=True, slots=True)
class Detail:
    """What goes with a state: `wait` is the time to the next attempt, `why` what keeps it from being live."""

    transport: Transport
    attempt: int
    recovered: bool = False
    wait: float = 0.0
    why: str = ""
    refused: bool = False


class Socket(Protocol):
    """A websocket or a stream; tells the core `opened`, `heard` and `closed`."""

    def send(self, text: str) -> None:
        """Send a frame (websockets only)."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Timer(Protocol):
    """What can be called off."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Surroundings(Protocol):
    """What the core needs of the world."""

    def ask_token(self, turn: int, *, fresh: bool) -> None:
        """Get a token, then call `token_given` or `token_failed` with the turn."""
        ...

    def open(self, transport: Transport, frames: Sequence[str]) -> Socket:
        """Begin to connect; a stream sends `frames`."""
        ...

    def call_later(self, seconds: float, act: Callable[[], None]) -> Timer:
        """Call `act` then."""
        ...

    def tell(self, event: str, *what: Any) -> None:
        """Say what happened."""
        ...
