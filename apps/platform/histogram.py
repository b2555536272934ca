"""A distribution in bounded memory: counts by buckets a tenth apart, from 0.1 ms to minutes."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALLEST: Final = 0.1
_STEP: Final = 1.1
#: Upper edges in milliseconds; what lies above the last one (two minutes) counts as it.
EDGES: Final = tuple(_SMALLEST * _STEP**place for place in range(148))


class Histogram:
    """Notes values and never forgets: readers keep what they have seen and look at the difference."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)

    def note(self, milliseconds: float) -> None:
        """Count a value; a negative one (two clocks that differ) counts as nothing."""
        self.counts[bisect_left(EDGES, milliseconds)] += 1

    def since(self, before: Sequence[int]) -> Spread:
        """Return what was noted after `before`, a copy of `counts`."""
        return Spread([now - then for now, then in zip(self.counts, before, strict=True)])


class Spread:
    """A part of a histogram."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = counts
        self.total = sum(counts)

    def quantile(self, share: float) -> float:
        """Return the value below which `share` of all lie, linear within its bucket: at most 10 % off."""
        wanted = share * self.total
        below = 0.0
        for place, count in enumerate(self.counts):
            if count and below + count >= wanted:
                low = EDGES[place - 1] if place else 0.0
                high = EDGES[min(place, len(EDGES) - 1)]
                return round(low + (high - low) * (wanted - below) / count, 3)
            below += count
        return 0.0

    def values(self, most: int) -> list[float]:
        """Return up to `most` values that have the same percentiles, evenly spaced in rank."""
        number = min(self.total, most)
        return [self.quantile((place + 0.5) / number) for place in range(number)]
