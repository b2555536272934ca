"""Wire messages keep their shape: clients and other processes of another version read them."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.contracts import bus, channels, protocol
from apps.contracts.channels import Message
from apps.contracts.entities import Access, EntityChanged, Trace
from apps.contracts.filters import (
    Condition,
    FiltersChanged,
    SavedFilter,
    decode_changed,
    encode_changed,
)
from apps.contracts.protocol import Close, FrameError, Viewport, bounds_of, decode_client

ENTITY = protocol.encode_entity(
    protocol.view_of(
        EntityChanged("a", 3, "aircraft", 46.5, 8.25, 1000, 90.0, {"n": 1}, Access("group", "ann", "red"))
    )
)
ENTITY_TEXT = (
    '{"id":"a","kind":"aircraft","lat":46.5,"lon":8.25,"heading":90.0,"attributes":{"n":1},'
    '"access":{"rule":"group","owner":"ann","group":"red"},"version":3,"changed_at":1000}'
)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            protocol.encode(protocol.Welcome("s", "e.0", 7, True, 25.0, "tp", "c")),
            '{"v":1,"type":"welcome","session":"s","epoch":"e.0","seq":7,"recovered":true,"heartbeat_seconds":25.0,"traceparent":"tp","correlation_id":"c"}',
        ),
        (
            protocol.encode(protocol.Snapshot("e.0", 8, [msgspec.Raw(ENTITY)])),
            '{"v":1,"type":"snapshot","epoch":"e.0","seq":8,"entities":[' + ENTITY_TEXT + "]}",
        ),
        (protocol.encode(protocol.Resync("e.1", 9)), '{"v":1,"type":"resync","epoch":"e.1","seq":9}'),
        (protocol.encode(protocol.ServerPing()), '{"v":1,"type":"ping"}'),
        (protocol.encode(protocol.ServerPong()), '{"v":1,"type":"pong"}'),
        (
            protocol.encode(protocol.ErrorFrame("viewport.invalid", "m", "h")),
            '{"v":1,"type":"error","code":"viewport.invalid","message":"m","hint":"h"}',
        ),
        (
            protocol.delta("e.0", 9, 1234, [protocol.upsert(ENTITY), protocol.remove('b"', 4)], "tp", "c"),
            '{"v":1,"type":"delta","epoch":"e.0","seq":9,"at":1234,"traceparent":"tp","correlation_id":"c","ops":['
            '{"op":"upsert","entity":' + ENTITY_TEXT + '},{"op":"remove","id":"b\\"","version":4}]}',
        ),
        (protocol.close_reason("token.expired"), '{"code":"token.expired"}'),
        (protocol.restart_reason(1500), '{"retry_ms":1500}'),
    ],
)
def test_frames_of_the_server_are_as_written_down(frame: str, text: str):
    """Byte for byte; a change here is a new protocol version."""
    assert frame == text
    json.loads(frame)


def test_messages_of_the_bus_are_as_written_down():
    """Positions matter in these; old and new processes run side by side during a deploy."""
    one = bus.Registration(
        "s", 3, 7, "g", "ann", ("red",), 1.0, 2.0, 3.0, 4.0, 5.0, 30000, ("ship",),
        (SavedFilter("f", "n", ("ship",), (Condition("a", "gt", 1),), "ann"),), Trace("tp", "c"),
    )  # fmt: skip
    assert msgspec.msgpack.decode(bus.encode(one)) == [
        "viewport", "s", 3, 7, "g", "ann", ["red"], 1.0, 2.0, 3.0, 4.0, 5.0, 30000, ["ship"],
        [{"id": "f", "name": "n", "kinds": ["ship"], "where": [{"attribute": "a", "op": "gt", "value": 1}], "owner": "ann"}],
        {"traceparent": "tp", "correlation_id": "c"}, 1, False,
    ]  # fmt: skip
    assert bus.decode_registration(bus.encode(one)) == one
    both = bus.Viewports([one, bus.Removal("s", 8)])
    assert bus.decode_viewports(bus.encode(both)) == both
    removal = bus.Removal("s", 8, Trace("tp", "c"))
    assert msgspec.msgpack.decode(bus.encode(bus.Viewports([removal], removal.trace))) == {
        "items": [["removal", "s", 8, {"traceparent": "tp", "correlation_id": "c"}]],
        "trace": {"traceparent": "tp", "correlation_id": "c"},
        "v": 1,
    }
    edit = FiltersChanged("ann", Trace("tp", "c"))
    assert msgspec.msgpack.decode(encode_changed(edit)) == [
        "ann", {"traceparent": "tp", "correlation_id": "c"}, 1,
    ]  # fmt: skip
    assert decode_changed(encode_changed(edit)) == edit
    active = bus.Active("p", 9, [(3, 7, False)])
    assert msgspec.msgpack.decode(bus.encode(active)) == ["active", "p", 9, [[3, 7, False]], {}, 1]
    delivery = bus.Delivery("p", 5, [bus.Item("a", 3, False, b"{}", bus.pack_slots([1, 258]))])
    assert msgspec.msgpack.decode(bus.encode(delivery)) == [
        "delivery", "p", 5, [["a", 3, False, b"{}", b"\1\0\0\0\2\1\0\0", {}, 0]], {}, 1,
    ]  # fmt: skip
    assert bus.decode_gateway(bus.encode(delivery)) == delivery
    # a processor of before says nothing of the time
    before = ["delivery", "p", 5, [["a", 3, False, b"{}", b"\1\0\0\0\2\1\0\0", {}]], {}, 1]
    assert bus.decode_gateway(msgspec.msgpack.encode(before)) == delivery
    assert list(bus.unpack_slots(delivery.items[0].slots)) == [1, 258]


@given(
    st.text() | st.binary() | st.none() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(str)
)
def test_whatever_a_client_sends_is_a_frame_or_a_close_code(data: str | bytes | None):
    """No input ends in another exception."""
    ended: FrameError | None = None
    try:
        decode_client(data, 64)
    except FrameError as error:
        ended = error
    if ended is not None:
        assert ended.close in {Close.BAD_FRAME, Close.TOO_LARGE}
        assert len(protocol.close_reason(ended.code).encode()) <= protocol.MAX_REASON_BYTES


@pytest.mark.parametrize("size", [63, 64, 65, 100])
def test_size_is_counted_in_bytes(size: int):
    """Also where a character is more than one byte."""
    text = '"' + "é" * ((size - 2) // 2) + "x" * (size % 2) + '"'
    with pytest.raises(FrameError) as caught:
        decode_client(text, 64)
    assert len(text.encode()) == size
    assert (caught.value.close is Close.TOO_LARGE) == (size > 64)


LON = st.floats(-540, 540)


@given(LON, LON, st.floats(-90, 90), st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90))
def test_bounds_cover_what_the_map_shows(west, east, one, other, lon, lat):
    """However often the map turned round the world, a point that is shown is inside the normalised box."""
    west, east = sorted((west, east))
    south, north = sorted((one, other))
    bounds = bounds_of(Viewport(west=west, south=south, east=east, north=north))
    assert -180 <= bounds.west <= 180
    assert -180 <= bounds.east <= 180
    shown = any(west + 1e-6 < lon + turn < east - 1e-6 for turn in (-720, -360, 0, 360, 720))
    if shown and south <= lat <= north:
        assert bounds.contains(lat, lon)


@pytest.mark.parametrize(
    "values",
    [
        (0, 10, 1, 5),
        (float("nan"), 0, 1, 1),
        (0, 0, float("inf"), 1),
        (0, 91, 1, 92),
        (0, -95, 1, -91),
        (-600, 0, 1, 1),
    ],
)
def test_impossible_viewports_are_refused(values):
    """South above north, not a number, beyond the poles."""
    west, south, east, north = values
    with pytest.raises(ValueError, match=r"south|finite|latitudes"):
        bounds_of(Viewport(west=west, south=south, east=east, north=north))


MESSAGE = Message("job.progress", 1234, b'{"done":40}', "job-7", Trace("tp", "c"))


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (
            protocol.messages(
                [
                    protocol.message_item("user", "5-0", MESSAGE),
                    protocol.message_item("public.news", "6-1", Message("headline", 5, b"null")),
                ]
            ),
            (
                '{"v":1,"type":"messages","messages":['
                '{"channel":"user","id":"5-0","name":"job.progress","at":1234,"traceparent":"tp","correlation_id":"c","data":{"done":40}},'
                '{"channel":"public.news","id":"6-1","name":"headline","at":5,"data":null}]}'
            ),
        ),
        (
            protocol.encode(
                protocol.Subscribed([protocol.Subscription("public.news", "6-1", False)], "tp", "c")
            ),
            '{"v":1,"type":"subscribed","channels":[{"channel":"public.news","id":"6-1","recovered":false}],"traceparent":"tp","correlation_id":"c"}',
        ),
        (
            protocol.encode(protocol.Unsubscribed(["public.news"])),
            '{"v":1,"type":"unsubscribed","channels":["public.news"]}',
        ),
        (
            protocol.encode(protocol.Presence("public.news", 2, ["ann", "bob"], ["bob"], [])),
            '{"v":1,"type":"presence","channel":"public.news","count":2,"members":["ann","bob"],"joined":["bob"],"left":[]}',
        ),
    ],
)
def test_frames_of_channels_are_as_written_down(frame: str, text: str):
    """Byte for byte, as the frames of the map."""
    assert frame == text
    json.loads(frame)


def test_what_clients_say_of_channels_is_strict():
    """Subscriptions and inbox positions are read, and what is no id or too many is refused."""
    assert decode_client(
        '{"type":"subscribe","channels":["a"],"since":{"a":"5-0"},"presence":true}', 999
    ) == (protocol.Subscribe(["a"], {"a": "5-0"}, presence=True))
    assert decode_client('{"type":"unsubscribe","channels":["a"]}', 999) == protocol.Unsubscribe(["a"])
    assert decode_client('{"type":"identify","token":"t","inbox":""}', 999) == protocol.Identify(
        "t", inbox=""
    )
    many = json.dumps({"type": "subscribe", "channels": ["a"] * 129})
    for bad in (
        '{"type":"subscribe","channels":[]}',
        '{"type":"subscribe","channels":["a"],"since":{"a":"5"}}',
        '{"type":"identify","token":"t","inbox":"$"}',
        many,
    ):
        with pytest.raises(FrameError, match=r"Expected|matching"):
            decode_client(bad, 9999)


def test_messages_of_channels_are_as_written_down():
    """The publishing script writes the head of `Posted` and Presence itself: positions are its contract."""
    posted = channels.Posted("ann", "5-0", MESSAGE)
    body = ["job.progress", 1234, b'{"done":40}', "job-7", {"traceparent": "tp", "correlation_id": "c"}, 1]
    assert msgspec.msgpack.decode(channels.encode(posted)) == ["message", "ann", "5-0", body]
    assert channels.encode(posted) == (
        b"\x94" + msgspec.msgpack.encode("message") + msgspec.msgpack.encode("ann")
        + msgspec.msgpack.encode("5-0") + channels.encode(MESSAGE)
    )  # fmt: skip
    assert (
        bus.decode_gateway(channels.encode(posted)) == channels.decode_wire(channels.encode(posted)) == posted
    )
    assert channels.decode_message(channels.encode(MESSAGE)) == MESSAGE
    presence = channels.PresenceChanged("public.news", 2, ["ann", "bob"], ["bob"], [], Trace("tp", "c"))
    assert msgspec.msgpack.decode(channels.encode(presence)) == [
        "presence", "public.news", 2, ["ann", "bob"], ["bob"], [], {"traceparent": "tp", "correlation_id": "c"}, 1,
    ]  # fmt: skip
    assert channels.decode_wire(channels.encode(presence)) == presence


@pytest.mark.parametrize(
    ("name", "groups", "everything", "allowed"),
    [
        ("public.news", (), False, True),
        ("public.news.alps", (), False, True),
        ("group.red.chat", ("red",), False, True),
        ("group.red.chat", ("blue",), False, False),
        ("group.red.chat", ("red.chat",), False, False),
        ("group.red.chat", (), True, True),
        ("public", (), True, False),
        ("group.red", ("red",), True, False),
        ("group..chat", ("",), True, False),
        ("user", (), True, False),
        ("user.ann", (), True, False),
        ("public.news\n", (), True, False),
        ("public.é", (), True, False),
        ("public." + "x" * 60 + "." + "y" * 64, (), True, False),
    ],
)
def test_a_channels_name_says_who_may_listen(
    name: str, groups: tuple[str, ...], everything: bool, allowed: bool
):
    """Everybody to what is public, members to what is their group's, nobody to what is no channel."""
    assert (channels.is_channel(name) and channels.may_listen(name, groups, everything=everything)) == allowed


def test_sending_needs_its_scope_and_the_channels_rule():
    """With the scope one sends to oneself and where one may listen; the admin's scope sends everywhere."""
    write, everywhere = {channels.SEND}, {channels.SEND, channels.SEND_TO_ALL}
    assert channels.may_send("group.red.chat", ("red",), write)
    assert not channels.may_send("group.red.chat", ("blue",), write)
    assert channels.may_send("group.red.chat", (), everywhere)
    assert not channels.may_send("public.news", (), {channels.SEND_TO_ALL})
    assert channels.may_send_to_user("ann", "ann", write)
    assert not channels.may_send_to_user("bob", "ann", write)
    assert channels.may_send_to_user("bob", "ann", everywhere)
