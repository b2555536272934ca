"""The clock of a replay, pure: which moves and vanishings are due after so many seconds of play."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.replay.recording import Position, Recording, Track

#: An entity stays this long (recorded time) after its last position.
LINGER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Move:
    """An entity is somewhere; the first one makes it appear."""

    id: str
    kind: str
    lat: float
    lon: float
    heading: float | None
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Vanish:
    """An entity's track has ended."""

    id: str


Event = Move | Vanish


class Player:
    """Plays a recording from `start` seconds after its beginning, `speed` times as fast as it was recorded.

    `loop` starts over at the end. `fold` cuts the recording into parts of that many seconds and plays them
    over each other, each track at its own pace: a thin recording of a day becomes a busy sky of some hours.
    A folded entity gets `-<n>` behind its id from its second track on, as one aircraft may then be in the
    air twice. With `loop` a track that crosses the end goes on after it, so that there is no seam.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        loop: bool = False,
        fold: float | None = None,
        start: float | None = None,
    ) -> None:
        if not speed > 0:
            raise ValueError("speed must be above zero")
        self._recording = recording
        self._speed = speed
        self._loop = loop
        self._folded = fold is not None
        tracks = recording.tracks
        origin = min(track.start for track in tracks)
        length = max(track.end for track in tracks) - origin + 2 * LINGER_SECONDS
        longest = max(track.end - track.start for track in tracks) + 2 * LINGER_SECONDS
        # twice: whatever vanishes at the end has done so before it starts again
        part = max(fold, longest) if fold is not None else length
        # a track moves as a whole to the part that it starts in
        self._tracks = tracks
        self._shift = [-origin - part * ((track.start - origin) // part) for track in tracks]
        self.period = part
        self._end = max(
            track.end + shift + LINGER_SECONDS for track, shift in zip(tracks, self._shift, strict=True)
        )
        self._offsets, self._events = self._timeline()
        self.start = self.busiest() if start is None else min(max(start, 0.0), self._end)
        self._at = self.start
        self._primed = False

    @property
    def finished(self) -> bool:
        """Whether everything has been played; never with `loop`."""
        return not self._loop and self._primed and self._at >= self._end

    def active(self, offset: float) -> Iterator[tuple[Track, float]]:
        """The tracks in the air `offset` seconds after the beginning, each with its own (recorded) time."""
        for track, shift in zip(self._tracks, self._shift, strict=True):
            begin = track.start + shift
            for now in (offset, offset + self.period) if self._loop else (offset,):
                if begin <= now < track.end + shift + LINGER_SECONDS:
                    yield track, now - shift
                    break

    def busiest(self) -> float:
        """The offset at which most entities are in the air."""
        changes: list[tuple[float, int]] = []
        for track, shift in zip(self._tracks, self._shift, strict=True):
            begin, end = track.start + shift, track.end + shift + LINGER_SECONDS
            changes += [(begin, 1), (end, -1)]
            if self._loop and end > self.period:
                changes += [(0.0, 1), (end - self.period, -1), (self.period, -1)]
        changes.sort()
        count, most, when = 0, 0, 0.0
        for moment, change in changes:
            count += change
            if count > most and moment < self.period:
                most, when = count, moment
        return when

    def due(self, elapsed: float) -> list[Event]:
        """What happened since the last call, up to `elapsed` real seconds after the start; newest last.

        The first call also says where everything is that is in the air already.
        """
        events: list[Event] = []
        if not self._primed:
            self._primed = True
            events += [self._now(track, moment) for track, moment in self.active(self.start)]
        target = self.start + elapsed * self._speed
        if target > self._at:
            events += self._between(self._at, target)
            self._at = target
        return events

    def everything(self) -> list[str]:
        """The ids of all entities that this replay can make."""
        return sorted({self._id(track) for track in self._tracks})

    def _now(self, track: Track, moment: float) -> Move:
        index = bisect_right(track.positions, moment, key=lambda position: position.time) - 1
        return self._move(track, track.positions[max(index, 0)])

    def _timeline(self) -> tuple[list[float], list[tuple[float, Track, Position | None]]]:
        events: list[tuple[float, Track, Position | None]] = []
        for track, shift in zip(self._tracks, self._shift, strict=True):
            events.extend(
                (self._place(position.time + shift), track, position) for position in track.positions
            )
            events.append((self._place(track.end + shift + LINGER_SECONDS), track, None))
        events.sort(key=lambda event: event[0])
        return [event[0] for event in events], events

    def _place(self, offset: float) -> float:
        return offset % self.period if self._loop else offset

    def _between(self, after: float, upto: float) -> list[Event]:
        if not self._loop:
            return self._slice(after, upto)
        events: list[Event] = []
        # more than one lap at once (a sleeping machine): the last lap says it all
        after = max(after, upto - self.period)
        while after < upto:
            base = after // self.period * self.period
            stop = min(upto, base + self.period)
            wraps = stop == base + self.period
            events += self._slice(after - base, self.period if wraps else stop - base)
            if wraps:
                events += self._slice(-1.0, 0.0)  # what lies exactly on the seam
            after = stop
        return events

    def _slice(self, after: float, upto: float) -> list[Event]:
        low, high = bisect_right(self._offsets, after), bisect_right(self._offsets, upto)
        return [
            Vanish(self._id(track)) if position is None else self._move(track, position)
            for _, track, position in self._events[low:high]
        ]

    def _id(self, track: Track) -> str:
        return f"{track.id}-{track.nth + 1}" if self._folded and track.nth else track.id

    def _move(self, track: Track, position: Position) -> Move:
        return Move(
            id=self._id(track),
            kind=position.kind,
            lat=position.lat,
            lon=position.lon,
            heading=position.heading,
            attributes=self._recording.attributes(position),
        )
