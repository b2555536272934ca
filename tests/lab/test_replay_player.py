"""The clock of a replay: what is due when, at the seams of a loop too."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lab.replay.player import LINGER_SECONDS, Event, Move, Player, Vanish
from lab.replay.reader import read
from lab.replay.recording import Position, Recording, cut


def recording(tracks: dict[str, list[float]]) -> Recording:
    """Entities with positions at these times; the latitude is the time."""
    positions = {
        name: [Position(time, time % 90, 0.0, None, "aircraft", ()) for time in times]
        for name, times in tracks.items()
    }
    cuts, _ = cut(positions)
    return Recording("test", (), cuts, sum(map(len, positions.values())))


def told(events: list[Event]) -> list[str]:
    """Events in short: `a@10` is at latitude 10, `-a` has vanished."""
    return [f"-{event.id}" if isinstance(event, Vanish) else f"{event.id}@{event.lat:g}" for event in events]


def test_events_come_in_order_and_once() -> None:
    """Each position is due at its time and never again; after its last one an entity lingers, then vanishes."""
    player = Player(recording({"a": [0, 10, 20]}), start=0)
    assert told(player.due(0)) == ["a@0"]
    assert told(player.due(9.9)) == []
    assert told(player.due(10)) == ["a@10"]
    assert told(player.due(10)) == []
    assert told(player.due(20 + LINGER_SECONDS)) == ["a@20", "-a"]
    assert player.finished


def test_speed_is_how_much_recorded_time_passes() -> None:
    """At tenfold speed ten recorded seconds are due after one."""
    player = Player(recording({"a": [0, 10, 20]}), speed=10, start=0)
    player.due(0)
    assert told(player.due(1)) == ["a@10"]


def test_a_start_in_the_middle_begins_with_everything_in_the_air() -> None:
    """Whoever is up at the start is shown where it is then, and others when they come."""
    player = Player(recording({"a": [0, 10, 20], "b": [15, 30]}), start=17)
    assert told(player.due(0)) == ["a@10", "b@15"]
    assert told(player.due(3)) == ["a@20"]


def test_the_default_start_is_the_busiest_moment() -> None:
    """Most entities are in the air where a replay begins."""
    player = Player(recording({"a": [0, 10], "b": [100, 110], "c": [105, 115]}))
    assert player.start == 105
    assert len(player.due(0)) == 2


def test_a_loop_ends_clean_and_begins_again() -> None:
    """At the end everything has vanished before it appears again, lap after lap."""
    player = Player(recording({"a": [0, 10], "b": [5, 30]}), loop=True, start=0)
    assert player.period == 30 + 2 * LINGER_SECONDS
    first = told(player.due(0)) + told(player.due(player.period - 0.001))
    second = told(player.due(2 * player.period - 0.001))
    assert first == ["a@0", "b@5", "a@10", "-a", "b@30", "-b"]
    assert second == first
    assert not player.finished


def test_a_machine_that_slept_gets_one_lap_and_no_flood() -> None:
    """Many laps at once are told as the last one."""
    player = Player(recording({"a": [0, 10]}), loop=True, start=0)
    player.due(0)
    assert len(player.due(100 * player.period)) <= 3


def test_folding_plays_the_parts_over_each_other() -> None:
    """An aircraft that flew twice is in the air twice, under two ids, at its own pace."""
    player = Player(recording({"a": [0, 60, 1000, 1060]}), fold=500, start=0)
    assert told(player.due(0)) == ["a@0", "a-2@10"]
    assert player.everything() == ["a", "a-2"]


def test_a_track_across_the_end_of_a_folded_loop_goes_on() -> None:
    """There is no seam: a track that crosses the end is in the air on both sides of it."""
    player = Player(recording({"a": [90, 150, 180], "b": [0, 20]}), loop=True, fold=120, start=0)
    assert player.period == 120
    assert told(player.due(0)) == ["b@0", "a@0"]  # a took off at 90 of the lap before
    assert told(player.due(30)) == ["b@20", "-b", "a@60"]
    assert told(player.due(70)) == ["a@0", "-a"]
    assert told(player.due(90)) == ["a@0"]


def test_a_fold_is_never_shorter_than_the_longest_track() -> None:
    """One aircraft is never shown at two places at once under one id."""
    player = Player(recording({"a": [0, 100, 180], "b": [10, 20]}), loop=True, fold=150, start=0)
    assert player.period == 180 + 2 * LINGER_SECONDS


def test_switzerland_shows_a_newcomer_more_than_a_hundred_at_once() -> None:
    """Folded to two hours there are never fewer than 150 aircraft up, wherever in the loop one comes in."""
    player = Player(read("switzerland"), speed=10, loop=True, fold=7200)
    counts = [sum(1 for _ in player.active(offset)) for offset in range(0, int(player.period), 300)]
    assert min(counts) >= 150
    assert len(player.due(0)) >= 200


@settings(max_examples=60, deadline=None)
@given(
    tracks=some.dictionaries(
        some.sampled_from("abcdef"),
        some.lists(some.integers(0, 2000), min_size=1, max_size=12, unique=True),
        min_size=1,
    ),
    loop=some.booleans(),
    fold=some.sampled_from([None, 200.0, 700.0]),
    steps=some.lists(some.floats(0.1, 900), min_size=1, max_size=15),
)
def test_what_the_events_leave_alive_is_what_is_in_the_air(
    tracks: dict[str, list[int]], loop: bool, fold: float | None, steps: list[float]
) -> None:
    """However the clock is read, the entities that the events leave alive are those in the air then."""
    made = recording({name: [float(time) for time in times] for name, times in tracks.items()})
    player = Player(made, loop=loop, fold=fold, start=0)
    elapsed = 0.0
    alive: set[str] = set()
    for step in [0.0, *steps]:
        # a step beyond a lap is told in short; within one, every event must be there
        elapsed += min(step, player.period * 0.9)
        for event in player.due(elapsed):
            if isinstance(event, Move):
                alive.add(event.id)
            else:
                alive.discard(event.id)
        offset = elapsed % player.period if loop else elapsed
        expected = {
            f"{track.id}-{track.nth + 1}" if fold and track.nth else track.id
            for track, _ in player.active(offset)
        }
        assert alive == expected


def test_a_speed_of_zero_is_refused() -> None:
    """A clock that stands still would never end."""
    with pytest.raises(ValueError, match="above zero"):
        Player(recording({"a": [0]}), speed=0)
