"""The wait before the next attempt, in seconds. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
LONGEST_ASKED: Final = 30.0


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Anything up to a bound that doubles with each attempt ("full jitter"): the dropped return apart."""
    return random() * min(FIRST_WAIT * 2 ** min(attempt, 10), LONGEST_WAIT)


def asked_wait(reason: str) -> float | None:
    """Return the wait that the server asks for in the reason of a close, if it does."""
    try:
        said: Any = json.loads(reason)
        wait = float(said["retry_ms"]) / 1000
    except (ValueError, TypeError, KeyError):
        return None
    return min(max(wait, 0.0), LONGEST_ASKED) if wait == wait else None  # noqa: PLR0124  # JSON of Python has NaN
