"""What waits for one socket: order, bounds, the newest of a key, and reading on after being late. No server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from apps.contracts.channels import OWN, Message, Posted
from apps.platform.auth import Identity
from apps.realtime.channels import FRAME_BYTES, MAX_WAITING, Channels, Feed, Item, Listener
from apps.realtime.hub import Hub
from apps.realtime.session import Bounded

START = (100, 0)


def hub() -> Hub:
    """A hub without a tick."""
    limits = Bounded(10**6, 100, 2000)
    return Hub("g", limits, tick_seconds=0.0, stall_seconds=30.0, max_detached=1, slot_rest_seconds=60.0)


def listener(channels: Channels, user: str = "ann", max_bytes: int = 10_000) -> Listener:
    """A socket whose own feed is live."""
    made = Listener(hub().open("s", Identity(user)), channels.counts, max_bytes)
    made.follow(Feed(OWN, None))
    channels.add(made)
    made.read(OWN, (0, 0), START, [], more=False)
    return made


def posted(place: int, data: Any = None, conflate: str = "", to: str = "ann") -> Posted:
    """A message as it comes from Redis."""
    return Posted(to, f"{place}-0", Message("n", place, json.dumps(data).encode(), conflate))


def item(place: int, data: Any = None, conflate: str = "") -> Item:
    """A message as it is read from a stream."""
    return Item((place, 0), json.dumps({"data": data}).encode(), conflate)


def frames(one: Listener) -> list[dict[str, Any]]:
    """Everything that waits, as frames."""
    found: list[dict[str, Any]] = []
    while one.waiting:
        text = one.take()
        assert text is not None
        found.append(json.loads(text))
    return found


def data(one: Listener) -> list[Any]:
    """What waits, as the messages' data."""
    return [message["data"] for frame in frames(one) for message in frame.get("messages", ())]


def test_messages_leave_in_order_and_once():
    """What is not newer than what was queued is a repetition; another user's and channel's is not taken."""
    channels = Channels()
    one, other = listener(channels), listener(channels, "bob")
    channels.join(one, Feed("public.a", None))
    one.read("public.a", (0, 0), START, [], more=False)
    for place in (101, 102, 101, 102, 103):
        channels.to_user(posted(place, place))
    channels.to_channel(posted(104, "a", to="public.a"))
    channels.to_channel(posted(105, "b", to="public.b"))
    assert data(one) == [101, 102, 103, "a"]
    assert data(other) == []
    channels.remove(one)
    assert channels.to_user(posted(106)) == []
    assert (channels.users.keys(), channels.channels) == ({"bob"}, {})


def test_the_newest_of_a_key_takes_the_place_of_the_one_that_waits():
    """Progress of one job is one message however often it is reported; it is counted, and leaves in order."""
    channels = Channels()
    one = listener(channels)
    for place in range(101, 301):
        channels.to_user(posted(place, place, "job-7"))
    channels.to_user(posted(301, "other", "job-8"))
    channels.to_user(posted(302, "plain"))
    channels.to_user(posted(303, "last", "job-7"))
    assert channels.counts.conflated == 200
    assert data(one) == ["other", "plain", "last"]
    assert one.bytes == 0
    assert channels.counts.deferred == 0


@pytest.mark.parametrize(("size", "most", "fit"), [(1, 10**6, MAX_WAITING), (2000, 10_000, 4)])
def test_too_much_is_read_again_when_there_is_room(size: int, most: int, fit: int):
    """By number or by bytes: what does not fit is not queued, and is asked for once all that waited is taken."""
    channels = Channels()
    one = listener(channels, max_bytes=most)
    asked: list[Listener] = []
    one.drained = asked.append
    for place in range(101, 301):
        channels.to_user(posted(place, "x" * size))
    assert channels.counts.queued == fit
    assert channels.counts.deferred == 1
    assert len(data(one)) == fit
    assert asked == [one]
    at = one.feeds[OWN].at
    assert at == (100 + fit, 0)
    # first a part of it, then all; what came since is asked for once more
    one.read(OWN, START, (300, 0), [item(place) for place in range(101 + fit, 117 + fit)], more=True)
    assert OWN in one.late
    one.read(OWN, START, (300, 0), [item(place) for place in range(117 + fit, 301)], more=False)
    assert not one.late
    assert len(data(one)) == 200 - fit
    channels.to_user(posted(301, "live"))
    assert data(one) == ["live"]


def test_what_comes_while_a_stream_is_read_is_not_lost():
    """The answer may be older than what came meanwhile: then the stream is read once more."""
    channels = Channels()
    one = listener(channels)
    one.fall_behind()
    for feed in one.feeds.values():
        feed.again = False  # the read begins now
    channels.to_user(posted(101))
    channels.to_user(posted(102))
    one.read(OWN, START, (101, 0), [item(101, 101)], more=False)
    assert OWN in one.late
    one.read(OWN, START, (102, 0), [item(102, 102)], more=False)
    assert (data(one), one.late) == ([101, 102], {})


def test_a_subscriber_lost_while_a_stream_is_read_has_it_read_again():
    """The answer was on its way before the loss: it says nothing of what was missed since."""
    channels = Channels()
    one = listener(channels)
    one.fall_behind()
    one.read(OWN, START, (101, 0), [item(101, 101)], more=False)
    assert OWN in one.late
    one.feeds[OWN].again = False
    one.read(OWN, START, (102, 0), [item(102, 102)], more=False)
    assert (data(one), one.late) == ([101, 102], {})


@pytest.mark.parametrize(("floor", "last"), [((101, 0), (200, 0)), ((50, 0), (99, 0))])
def test_a_gap_is_said_and_nothing_of_the_rest_is_sent(floor: tuple[int, int], last: tuple[int, int]):
    """Trimmed beyond where the client was, or begun anew below it: `recovered: false`, and on from the end."""
    channels = Channels()
    one = listener(channels)
    one.fall_behind()
    for feed in one.feeds.values():
        feed.again = False  # the read begins now
    one.read(OWN, floor, last, [item(last[0], "a part")], more=False)
    (frame,) = frames(one)
    assert frame["channels"] == [{"channel": "user", "id": f"{last[0]}-0", "recovered": False}]
    assert channels.counts.lost == 1
    channels.to_user(posted(last[0] + 1, "on"))
    assert data(one) == ["on"]


def test_subscribed_comes_after_what_was_missed_and_leaving_takes_all_with_it():
    """The answer to a subscription ends the catch-up; of a channel that was left nothing more comes."""
    channels = Channels()
    one = listener(channels)
    for name in ("public.a", "public.b"):
        channels.join(one, Feed(name, "100-0"))
        one.read(name, START, (101, 0), [item(101, name)], more=False)
    channels.leave(one, "public.b")
    first, second = frames(one)
    assert [message["data"] for message in first["messages"]] == ["public.a"]
    assert second["channels"] == [{"channel": "public.a", "id": "101-0", "recovered": True}]
    assert "public.b" not in channels.channels


def test_a_frame_has_its_bound():
    """Messages are joined until a frame is full; one that is larger alone leaves alone."""
    channels = Channels()
    one = listener(channels, max_bytes=10**6)
    half = FRAME_BYTES // 2 + 1
    for place, size in ((101, 10), (102, half), (103, half), (104, 10)):
        channels.to_user(posted(place, "x" * size))
    assert [len(frame["messages"]) for frame in frames(one)] == [2, 2]


async def test_map_and_messages_take_turns(monkeypatch: pytest.MonkeyPatch):
    """A flood of messages does not hold up the changes of the map, nor they the messages."""
    made = hub()
    client = made.open("s", Identity("ann"))
    one = Listener(client, Channels().counts, 10**6)
    client.mail = one
    monkeypatch.setattr(made, "_changes", lambda *_: "change")
    for number in range(4):
        one.show(f"public.{number}", f"message {number}")
    sent: list[str] = []

    def send(frame: str) -> asyncio.Future[None]:
        sent.append(frame)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    client.send = send
    for _ in range(8):
        made.touch(client)
        await made.flush()
    assert sent == [word for number in range(4) for word in (f"message {number}", "change")]
