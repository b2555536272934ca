"""What a track file holds once read: positions by entity, cut into tracks where the recording has a hole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: A hole longer than this ends a track: the entity vanishes, and comes back where it is seen again.
GAP_SECONDS = 120.0
DEFAULT_KIND = "aircraft"


class Position(NamedTuple):
    """One line of a track file. `values` are the attributes, in the order of the recording's columns."""

    time: float
    lat: float
    lon: float
    heading: float | None
    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """A line that could not be used, and why."""

    line: int
    reason: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"line {self.line}: {self.reason}"


@dataclass
class Track:
    """An unbroken run of positions of one entity. `nth` counts the tracks of that entity in the file."""

    id: str
    nth: int
    positions: list[Position]

    @property
    def start(self) -> float:
        """Time of the first position."""
        return self.positions[0].time

    @property
    def end(self) -> float:
        """Time of the last position."""
        return self.positions[-1].time


@dataclass
class Recording:
    """All tracks of a file, with what had to be left out."""

    name: str
    columns: tuple[str, ...]
    tracks: list[Track]
    positions: int
    lines: int = 0
    broken: int = 0
    repeated: int = 0
    built_in: bool = False
    problems: list[Problem] = field(default_factory=list[Problem])

    @property
    def entities(self) -> int:
        """How many different ids there are."""
        return len({track.id for track in self.tracks})

    def attributes(self, position: Position) -> dict[str, Any]:
        """The attributes that `position` carries; an empty field is one that was not sent."""
        return {
            name: value
            for name, value in zip(self.columns, position.values, strict=False)
            if value is not None and value != ""
        }


def cut(positions: dict[str, list[Position]], gap: float = GAP_SECONDS) -> tuple[list[Track], int]:
    """Tracks by start time, and how many positions repeated an earlier one's id and time (the later wins)."""
    tracks: list[Track] = []
    repeated = 0
    for entity, unordered in positions.items():
        by_time = {position.time: position for position in unordered}
        repeated += len(unordered) - len(by_time)
        nth = 0
        current: list[Position] = []
        for moment in sorted(by_time):
            if current and moment - current[-1].time > gap:
                tracks.append(Track(entity, nth, current))
                nth += 1
                current = []
            current.append(by_time[moment])
        tracks.append(Track(entity, nth, current))
    tracks.sort(key=lambda track: (track.start, track.id))
    return tracks, repeated
