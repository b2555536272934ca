"""The wire format of server-sent events (HTML standard, 9.2), in whatever pieces it comes. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from apps.client.core import BROKEN
from apps.contracts.protocol import Close

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMENT: Final = "comment"
CLOSE: Final = "close"


class Event(NamedTuple):
    """One event; a comment has no data."""

    kind: str
    data: str


class EventParser:
    """Takes bytes, gives events."""

    def __init__(self) -> None:
        # pieces of a line that is not complete: a snapshot is one line of megabytes
        self._rest: list[bytes] = []
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that are complete now."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest = []
        self._rest.append(rest)
        return [event for line in lines if (event := self._line(line.removesuffix(b"\r").decode()))]

    def _line(self, line: str) -> Event | None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            return Event(COMMENT, "")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif not line and self._data:
            event = Event(self._kind or "message", "\n".join(self._data))
            self._kind, self._data = "", []
            return event
        return None


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Return what an HTTP error is as a close, so that both transports are answered alike."""
    # a proxy's words, or a service's that knows no such path: not the gateway's
    if "problem+json" not in headers.get("content-type", "") or status == 404:
        return BROKEN, ""
    try:
        code: Any = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return BROKEN, ""
    if not isinstance(code, str):
        return BROKEN, ""
    reason: dict[str, Any] = {"code": code}
    for name, unit in (("retry-after", 1000), ("retry-after-ms", 1)):
        if headers.get(name, "").isdigit():
            reason["retry_ms"] = int(headers[name]) * unit
    if status == 503:
        close = Close.RESTART if code == "gateway.draining" else Close.TRY_LATER
    else:
        close = Close.UNAUTHENTICATED if status == 403 else 4000 + status
    return int(close), json.dumps(reason, separators=(",", ":"))
