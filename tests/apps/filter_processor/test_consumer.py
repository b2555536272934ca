"""When a place in the stream is lost, and when it is not."""

from __future__ import annotations

import pytest

from apps.filter_processor.consumer import StreamState, gap_between, order_of

BEFORE = StreamState("run", "5-0", 5, "1-0", 5)


@pytest.mark.parametrize(
    ("place", "now", "word"),
    [
        ("5-0", StreamState("run", "5-0", 5, "1-0", 5), ""),
        ("3-0", StreamState("run", "9-0", 9, "2-0", 8), ""),
        ("5-0", StreamState("other", "5-0", 5, "1-0", 5), "another server"),
        ("5-0", StreamState("run"), "began again"),
        ("5-0", StreamState("run", "4-9", 5, "1-0", 5), "began again"),
        ("5-0", StreamState("run", "9-0", 4, "9-0", 4), "began again"),
        ("5-0", StreamState("run", "9-0", 9, "7-0", 3), "trimmed"),
        ("5-0", StreamState("run", "9-0", 9, "", 0), "trimmed"),
        ("9-0", StreamState("run", "9-0", 9, "", 0), ""),
        ("0-0", StreamState("run", "9-0", 5, "5-0", 5), ""),
    ],
)
def test_gaps(place: str, now: StreamState, word: str):
    """A gap is another server, ids or counts that go backwards, or a first entry behind our place."""
    found = gap_between(place, BEFORE, now)
    assert word in found
    assert bool(found) == bool(word)


def test_ids_compare_as_the_stream_does():
    """By number, not by text."""
    assert order_of("9-10") > order_of("9-9")
    assert order_of("10-0") > order_of("9-99")
