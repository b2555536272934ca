"""Track files: every line is used or counted with its reason; the built-in recordings are whole."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from lab.errors import LabError
from lab.replay import fields
from lab.replay.reader import built_in, read

HEADER = "id,time,lat,lon,heading,callsign,altitude\n"


def write(folder: Path, text: str, name: str = "tracks.csv") -> Path:
    """A file with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "positions", "entities"), [("switzerland", 139_098, 842), ("paris", 56_863, 213)]
)
def test_built_in_recordings_are_whole(name: str, positions: int, entities: int) -> None:
    """The counts are those of the source, and no line of ours is broken."""
    recording = read(name)
    assert (recording.positions, recording.entities) == (positions, entities)
    assert (recording.broken, recording.repeated) == (0, 0)
    assert name in built_in()


def test_broken_lines_are_counted_with_number_and_reason(tmp_path: Path) -> None:
    """Each kind of broken line says which line it is and why; the good ones are played."""
    lines = [
        "a,2024-05-01T10:00:00Z,47.1,8.5,90,SWR1,31000",
        "a,yesterday,47.1,8.5,90,SWR1,31000",
        "a,1714557610,91,8.5,90,SWR1,31000",
        "a,1714557610,47,181,90,SWR1,31000",
        "a,1714557610,nan,8.5,90,SWR1,31000",
        ",1714557610,47,8.5,90,SWR1,31000",
        "a,1714557610,47,8.5",
        'a,1714557610,47,8.5,90,"SWR1,31000',
        "a,1714557620,47.2,,90,SWR1,31000",
        "",
        "a,1714557630,47.2,8.6,450,SWR1,",
    ]
    recording = read(write(tmp_path, HEADER + "\n".join(lines)))
    assert (recording.positions, recording.lines, recording.broken) == (2, 10, 8)
    assert [(one.line, one.reason) for one in recording.problems] == [
        (3, "time 'yesterday' is neither an epoch nor ISO 8601"),
        (4, "lat '91' is outside -90 to 90"),
        (5, "lon '181' is outside -180 to 180"),
        (6, "lat 'nan' is not finite"),
        (7, "id is empty"),
        (8, "has 4 fields instead of 7"),
        (9, "is no CSV (unexpected end of data)"),
        (10, "lon is empty"),
    ]
    first, last = recording.tracks[0].positions
    assert recording.attributes(first) == {"callsign": "SWR1", "altitude": 31000}
    assert recording.attributes(last) == {"callsign": "SWR1"}
    assert last.heading == 90


def test_more_problems_than_are_shown_are_still_counted(tmp_path: Path) -> None:
    """A file of garbage keeps twenty problems and counts them all."""
    recording = read(write(tmp_path, HEADER + "a,0,1,1,,,\n" + "garbage\n" * 500))
    assert (recording.broken, len(recording.problems)) == (500, 20)


def test_bytes_that_are_no_text_break_their_line_only(tmp_path: Path) -> None:
    """Invalid UTF-8 is one broken line, not the end of the file."""
    path = tmp_path / "tracks.csv"
    path.write_bytes(b"id,time,lat,lon\na,0,1,1\n\xff\xfe,1,1,1\na,5,1,1\n")
    recording = read(path)
    assert (recording.positions, [str(one) for one in recording.problems]) == (
        2,
        ["line 3: is not UTF-8 text"],
    )


def test_json_lines_with_their_own_names_and_broken_ones(tmp_path: Path) -> None:
    """Names that tools use are understood, nested attributes too; NaN, lists and missing fields are counted."""
    good = {
        "mmsi": 219,
        "timestamp": 1714557600000,
        "latitude": 55.6,
        "lng": 12.5,
        "course": 10,
        "kind": "ship",
    }
    lines = [
        json.dumps({**good, "attributes": {"name": "Ærø", "draught": 4.5}}),
        '{"id": "x", "time": 1, "lat": NaN, "lon": 2}',
        "[1, 2]",
        '{"id": "x", "time": 1, "lat": 2}',
        '{"id": "x", "time": true, "lat": 2, "lon": 2}',
        '{"id": "x", "time": 1, "lat": 2, "lon": 2, "attributes": 7}',
    ]
    recording = read(write(tmp_path, "\n".join(lines), "ships.jsonl"))
    [track] = recording.tracks
    [position] = track.positions
    assert (track.id, position.time, position.kind) == ("219", 1714557600.0, "ship")
    assert recording.attributes(position) == {"name": "Ærø", "draught": 4.5}
    assert [one.reason for one in recording.problems] == [
        "is no JSON",
        "is no JSON object",
        "has no lon",
        "time True is no number",
        "has attributes that are no JSON object",
    ]


def test_gzip_is_seen_by_content_and_a_cut_one_is_an_error(tmp_path: Path) -> None:
    """A .gz under any name is read; one that was cut off ends in words, not in half the tracks."""
    whole = gzip.compress((HEADER + "a,0,1,1,,,\n" * 1000).encode())
    path = tmp_path / "tracks.dat"
    path.write_bytes(whole)
    assert read(path).positions == 1
    path.write_bytes(whole[:-20])
    with pytest.raises(LabError, match="cannot be read"):
        read(path)


def test_repeated_times_are_counted_and_the_later_line_wins(tmp_path: Path) -> None:
    """Two lines of one id and time: the second is used, and the first is not lost silently."""
    recording = read(write(tmp_path, "id,time,lat,lon\na,0,1,1\na,0,2,2\nb,0,1,1\n"))
    assert (recording.positions, recording.repeated) == (2, 1)
    assert recording.tracks[0].positions[0].lat == 2


def test_a_hole_cuts_a_track_and_order_does_not_matter(tmp_path: Path) -> None:
    """Positions are sorted by time; a hole longer than the gap makes two tracks of one entity."""
    recording = read(write(tmp_path, "id;time;lat;lon\na;500;1;1\na;0;1;1\na;60;1;1\n"), gap=120)
    assert [(track.nth, track.start, track.end) for track in recording.tracks] == [(0, 0, 60), (1, 500, 500)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no position"),
        ("id,time,lat\na,0,1\n", "no column for lon"),
        ("id,time,lat,lon\nx\n", "holds no position"),
    ],
)
def test_file_without_any_position_says_what_is_needed(tmp_path: Path, text: str, words: str) -> None:
    """Nothing to play is an error with the way out."""
    with pytest.raises(LabError, match=words) as caught:
        read(write(tmp_path, text))
    assert caught.value.hint


def test_absent_file_names_the_built_in_ones(tmp_path: Path) -> None:
    """A wrong name is answered with the names there are."""
    with pytest.raises(LabError) as caught:
        read(tmp_path / "nowhere.csv")
    assert "paris, switzerland" in str(caught.value.cause)


def test_lines_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    """Memory has a bound; what does not fit is told, not dropped."""
    text = "id,time,lat,lon\n" + "".join(f"a,{second},1,1\n" for second in range(10))
    recording = read(write(tmp_path, text), limit=4)
    assert (recording.positions, recording.broken) == (4, 6)
    assert "beyond the 4 positions" in recording.problems[0].reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1714557600", 1714557600.0),
        (1714557600000, 1714557600.0),
        ("2024-05-01T12:00:00+02:00", 1714557600.0),
        ("2024-05-01 10:00:00", 1714557600.0),
    ],
)
def test_time_is_epoch_or_iso(value: object, expected: float) -> None:
    """Seconds, milliseconds, and ISO 8601 with or without a zone."""
    assert fields.moment(value) == expected


@given(some.text(max_size=30) | some.text("-.0123456789INFe", max_size=30))
@example("-INFINITY")
@example("12345678901234567890")
def test_a_typed_field_never_loses_what_was_written(text: str) -> None:
    """A field becomes a number only when the number says the same."""
    value = fields.typed(text)
    assert isinstance(value, str) or float(text) == value
    assert fields.typed("0042") == "0042"


@given(some.binary(max_size=400))
def test_any_bytes_end_in_a_recording_or_in_words(content: bytes) -> None:
    """No file makes the reader fail in any other way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(b"id,time,lat,lon\n" + content)
        try:
            recording = read(path)
        except LabError:
            return
        assert recording.positions + recording.broken + recording.repeated == recording.lines
