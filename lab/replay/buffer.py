"""What waits to be sent: the newest state of each entity and nothing older, within a bound; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from lab.replay.player import Event, Move, Vanish

_Kind = TypeVar("_Kind", Move, Vanish)
#: More entities than this do not wait; the one that has waited longest is dropped, and counted.
MAX_WAITING = 20_000


@dataclass
class Counts:
    """What became of every event; `due` is the sum of what was sent, overtaken, dropped and still waits."""

    due: int = 0
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    deleted: int = 0
    overtaken: int = 0  # a newer position came before this one was sent
    late: int = 0  # sent more than LATE_SECONDS after it was due
    dropped: int = 0
    retries: int = 0

    def document(self) -> dict[str, int]:
        """For `--json`."""
        return dict(self.__dict__)


class Buffer:
    """Newest-wins: a later event of an entity takes the place of an earlier one that was not yet sent."""

    def __init__(self, counts: Counts, limit: int = MAX_WAITING) -> None:
        self._waiting: dict[str, tuple[Event, float]] = {}
        self._counts = counts
        self._limit = limit

    def __len__(self) -> int:
        """How many entities wait."""
        return len(self._waiting)

    def put(self, events: Iterable[Event], now: float) -> None:
        """Take what is due at `now`."""
        for event in events:
            self._counts.due += 1
            if self._waiting.pop(event.id, None) is not None:
                self._counts.overtaken += 1
            elif len(self._waiting) >= self._limit:
                self._waiting.pop(next(iter(self._waiting)))
                self._counts.dropped += 1
            self._waiting[event.id] = (event, now)

    def moves(self, most: int) -> list[tuple[Move, float]]:
        """Take out up to `most` moves, those that wait longest first."""
        return self._take(Move, most)

    def vanishings(self, most: int) -> list[tuple[Vanish, float]]:
        """Take out up to `most` vanishings."""
        return self._take(Vanish, most)

    def back(self, events: Iterable[tuple[Event, float]]) -> None:
        """What could not be sent waits again, at the front, unless something newer waits already."""
        again: dict[str, tuple[Event, float]] = {}
        for event, since in events:
            if event.id in self._waiting:
                self._counts.overtaken += 1
            else:
                again[event.id] = (event, since)
        self._waiting = {**again, **self._waiting}

    def _take(self, kind: type[_Kind], most: int) -> list[tuple[_Kind, float]]:
        taken: list[tuple[_Kind, float]] = []
        for event, since in self._waiting.values():
            if isinstance(event, kind):
                taken.append((event, since))
                if len(taken) >= most:
                    break
        for event, _ in taken:
            del self._waiting[event.id]
        return taken
