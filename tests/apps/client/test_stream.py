"""The wire of event streams in Python: the cases of streams.json, which the JavaScript client runs too."""

from __future__ import annotations

import json
from pathlib import Path

from apps.client.core import BROKEN
from apps.client.sse import EventParser, refusal

CASES = json.loads(Path(__file__).with_name("streams.json").read_text())


def test_events_come_out_the_same_in_whatever_pieces_they_arrive() -> None:
    """Pieces of any number of bytes, also within a character, give the same events."""
    data = CASES["text"].encode()
    for size in range(1, len(data) + 1):
        parser = EventParser()
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert [list(event) for chunk in chunks for event in parser.feed(chunk)] == CASES["events"], size


def test_a_problem_is_the_close_that_a_websocket_would_have_had() -> None:
    """Statuses of the gateway have their close; a proxy's page is a broken connection."""
    for case in CASES["refusals"]:
        if case["status"] == 200:
            assert case["end"] == [BROKEN, ""]  # not an event stream: no refusal is asked for
        headers = {"content-type": case["type"], **case.get("headers", {})}
        assert list(refusal(case["status"], headers, case["body"].encode())) == case["end"], case
