"""A session sends the newest state once, whatever order things come in, within its bounds."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.contracts import protocol
from apps.contracts.bus import Active, Delivery, Item, pack_slots
from apps.contracts.protocol import Bounds, Close
from apps.platform.auth import Identity
from apps.realtime.hub import Hub
from apps.realtime.limits import Bucket, Heartbeat
from apps.realtime.session import MAX_WAITING_FRAMES, Bounded, Phase, Row, Session, View

VIEW = View(Bounds(0.0, 0.0, 10.0, 10.0))
LIMITS = Bounded(max_pending_bytes=4096, max_entities=100, ring_bytes=2000)


def session(limits: Bounded = LIMITS) -> Session:
    """A session that is live and has nothing."""
    made = Session("s", 0, "ann", (), "e", limits)
    made.look_at(VIEW, 1)
    assert made.acknowledge("p", 1, 1, fresh=True)
    made.show([], 0, truncated=False)
    made.frames.clear()
    return made


def upsert(entity: str, version: int, text: str = "") -> Item:
    """What a processor sends for a visible entity."""
    body = json.dumps({"op": "upsert", "entity": {"id": entity, "version": version, "text": text}})
    return Item(entity, version, False, body.encode(), b"")


def remove(entity: str, version: int) -> Item:
    """What a processor sends for one that left."""
    return Item(entity, version, True, protocol.remove(entity, version), b"")


def row(entity: str, version: int) -> Row:
    """A row of a snapshot."""
    return Row(entity, version, json.dumps({"id": entity, "version": version}).encode())


def test_one_frame_has_the_newest_state_of_each_entity():
    """Many changes within a tick are one operation."""
    subject = session()
    for version in (1, 3, 2):
        subject.merge(upsert("a", version))
    subject.merge(upsert("b", 1))
    frame = json.loads(subject.take_delta(5) or "")
    assert [operation["entity"]["version"] for operation in frame["ops"]] == [3, 1]
    assert subject.take_delta(6) is None
    subject.merge(upsert("a", 3))
    assert subject.take_delta(7) is None, "the same version again is no news"


ITEMS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 8), st.booleans()), max_size=20)


@settings(max_examples=200)
@given(
    ITEMS, st.lists(st.integers(0, 20), max_size=5), st.dictionaries(st.sampled_from("ab"), st.integers(1, 8))
)
def test_versions_never_go_back_and_removes_hit_what_is_there(items, ticks, stored):
    """For any order of changes, ticks and a refresh, each operation is news to the client."""
    subject, client = session(), {}

    def take(text: str | None) -> None:
        frame = json.loads(text) if text else {}
        for operation in frame.get("ops", ()):
            if operation["op"] == "upsert":
                entity = operation["entity"]
                assert entity["version"] > client.get(entity["id"], 0)
                client[entity["id"]] = entity["version"]
            else:
                assert operation["id"] in client
                del client[operation["id"]]

    for number, (entity, version, gone) in enumerate(items):
        subject.merge(remove(entity, version) if gone else upsert(entity, version))
        if number in ticks:
            take(subject.take_delta(1))
    take(subject.take_delta(1))
    assert client == subject.has
    subject.phase = Phase.LOADING
    subject.show([row(entity, version) for entity, version in stored.items()], 1, truncated=False)
    for frame in subject.frames:
        take(frame)
    assert set(client) == set(stored)
    assert all(client[entity] >= version for entity, version in stored.items())


def test_a_snapshot_is_older_than_what_came_meanwhile():
    """Changes collected while it was read are applied on top by version."""
    subject = session()
    subject.look_at(VIEW, 2)
    assert subject.acknowledge("p", 1, 2, fresh=False)
    for item in (upsert("new", 2), upsert("old", 1), remove("left", 5), remove("stays", 2)):
        subject.merge(item)
    subject.show([row("new", 1), row("old", 3), row("left", 4), row("stays", 2)], 0, truncated=False)
    subject.take_delta(1)
    assert subject.has == {"new": 2, "old": 3, "stays": 2}


def test_only_the_latest_holder_is_believed():
    """Of two processors that overlap the higher order wins; a lower one only when the other fell silent."""
    subject = session()
    assert subject.acknowledge("q", 5, 1, fresh=False), "a take-over needs a new snapshot"
    assert not subject.acknowledge("p", 1, 1, fresh=False)
    assert subject.processor == "q"
    subject.registered(2)
    assert not subject.acknowledge("q", 5, 2, fresh=False), "a renewal does not"
    assert subject.acknowledge("q", 5, 2, fresh=True), "unless the processor had forgotten"
    subject.registered(3)
    subject.registered(4)
    assert subject.acknowledge("r", 3, 4, fresh=False)
    assert not subject.acknowledge("r", 3, 99, fresh=True), "never registered"


def test_an_acknowledgement_of_the_former_view_counts_for_nothing():
    """The snapshot waits for the processor that has the new one."""
    subject = session()
    subject.look_at(VIEW, 2)
    assert not subject.acknowledge("p", 1, 1, fresh=False)
    assert subject.phase is Phase.WAITING


def test_too_much_pending_is_a_resync_and_a_full_snapshot():
    """Nothing is left out in silence."""
    subject = session()
    assert not all(subject.merge(upsert(f"e{n}", 1, "x" * 100)) for n in range(40))
    subject.overflow()
    assert json.loads(subject.frames.popleft())["type"] == "resync"
    assert subject.take_delta(1) is None
    subject.show([row("a", 1)], 1, truncated=True)
    frame = json.loads(subject.frames.popleft())
    assert (frame["type"], frame["truncated"], frame["seq"]) == ("snapshot", True, subject.seq)


def test_a_client_is_shown_only_so_many():
    """Beyond the bound new entities wait until others leave."""
    subject = session(Bounded(10**6, 2, 0))
    for entity in "abc":
        subject.merge(upsert(entity, 1))
    subject.take_delta(1)
    assert set(subject.has) == {"a", "b"}
    subject.merge(remove("a", 2))
    subject.merge(upsert("c", 2))
    subject.take_delta(1)
    assert set(subject.has) == {"b", "c"}


def test_the_ring_gives_everything_or_nothing():
    """Frames are kept up to the bound; before its floor nothing is recovered."""
    subject = session(Bounded(10**6, 100, 900))
    frames = {}
    for version in range(1, 11):
        subject.merge(upsert("a", version, "x" * 50))
        frame = subject.take_delta(1)
        frames[subject.seq] = frame
    assert subject.missed("e", subject.seq) == []
    assert subject.missed("e", subject.seq - 2) == [frames[subject.seq - 1], frames[subject.seq]]
    assert subject.missed("e", 1) is None
    assert subject.missed("e", subject.seq + 1) is None
    assert subject.missed("other", subject.seq) is None
    assert 0 < sum(len(frame) for frame in subject.ring) <= 900


# --- the hub --------------------------------------------------------------------------------------


class Socket:
    """A server's send whose futures finish when the test says so."""

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.futures: list[asyncio.Future[None]] = []
        self.closed: tuple[Close, str] | None = None

    def send(self, frame: str) -> asyncio.Future[None]:
        self.sent.append(json.loads(frame))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def close(self, code: Close, reason: str) -> None:
        self.closed = (code, reason)


def hub(stall_seconds: float = 30.0, slot_rest_seconds: float = 0.0, tick_seconds: float = 0.0):
    """A hub whose snapshots are empty and at once."""
    made = Hub(
        "g",
        LIMITS,
        tick_seconds=tick_seconds,
        stall_seconds=stall_seconds,
        max_detached=1,
        slot_rest_seconds=slot_rest_seconds,
    )
    made.load = lambda client: made.show(client, [], truncated=False)
    return made


def opened(subject: Hub, name: str = "s", user: str = "ann"):
    """A live client on a socket that has had its snapshot."""
    socket, client = Socket(), subject.open(name, Identity(user))
    client.send, client.close = socket.send, socket.close
    client.session.look_at(VIEW, 1)
    subject.active(Active("p", 1, [(client.session.slot, 1, True)]))
    return client, socket


def deliver(subject: Hub, *items: Item, slots: tuple[int, ...] = (0,), processor: str = "p") -> None:
    """A processor's message."""
    packed = [Item(item.id, item.version, item.removed, item.body, pack_slots(slots)) for item in items]
    subject.deliver(Delivery(processor, 0, packed))


async def test_nothing_is_sent_while_a_frame_is_on_its_way():
    """Changes merge meanwhile, and leave as one frame once the socket took the former."""
    subject = hub()
    _, socket = opened(subject)
    await subject.flush()
    for version in range(1, 6):
        deliver(subject, upsert("a", version))
        await subject.flush()
    assert [frame["type"] for frame in socket.sent] == ["snapshot"]
    socket.futures[0].set_result(None)
    await subject.flush()
    assert [operation["entity"]["version"] for operation in socket.sent[1]["ops"]] == [5]


async def test_deliveries_of_others_and_to_nobody_are_dropped():
    """A processor that does not hold the session, and slots that are free, change nothing."""
    subject = hub()
    client, _ = opened(subject)
    deliver(subject, upsert("a", 1), processor="old")
    deliver(subject, upsert("a", 1), slots=(7,))
    assert client.session.pending == {}
    assert subject.counts.foreign == 1


async def test_a_stalled_client_is_closed_after_its_time():
    """4430, and its session is gone."""
    subject = hub(stall_seconds=0.01)
    client, socket = opened(subject)
    await subject.flush()
    deliver(subject, upsert("a", 1))
    await subject.flush()
    await asyncio.sleep(0.02)
    await subject.flush()
    assert socket.closed == (Close.SLOW, "consumer.slow")
    assert client.session.id not in subject.clients


async def test_frames_for_a_client_that_does_not_read_are_bounded():
    """Too many answers waiting is the same as stalled."""
    subject = hub()
    client, socket = opened(subject)
    for _ in range(MAX_WAITING_FRAMES + 1):
        subject.send(client, protocol.encode(protocol.ServerPong()))
    assert socket.closed == (Close.SLOW, "consumer.slow")


async def test_lost_clients_are_kept_up_to_a_bound():
    """The one that left first is forgotten first, and its slot is used again."""
    subject = hub()
    first, _ = opened(subject, "s1")
    second, _ = opened(subject, "s2")
    await subject.flush()
    subject.detach(first, print)
    assert first.send is not None, "the end of a socket that was replaced ends nothing"
    subject.detach(first, first.send)
    subject.detach(second, second.send)
    assert list(subject.clients) == ["s2"]
    third, _ = opened(subject, "s3")
    assert third.session.slot == first.session.slot


async def test_what_is_under_way_for_a_former_client_never_reaches_the_next_one():
    """A slot rests until no processor can deliver for who had it: its entities may be private."""
    subject = hub(slot_rest_seconds=60.0)
    first, _ = opened(subject, "s1", "ann")
    subject.forget(first)
    second, _ = opened(subject, "s2", "eve")
    deliver(subject, upsert("of-ann", 1), slots=(first.session.slot,))
    assert second.session.pending == {}


async def test_a_resume_that_fails_ends_the_old_socket_too():
    """Else the old socket would go on in a session, and a slot, that it does not have any more."""
    subject = hub()
    _, socket = opened(subject)
    assert subject.resume("s", Identity("ann"), "another epoch", 0) is None
    assert socket.closed == (Close.TRY_LATER, "session.taken_over")


async def test_numbers_of_another_session_resume_nothing():
    """A client whose new session ended before its snapshot still has numbers of the one before: they are refused."""
    subject = hub()
    client, _ = opened(subject)
    await subject.flush()
    session = client.session
    assert session.missed(subject.epoch_of("s"), session.seq) == []
    assert session.missed(subject.epoch_of("t"), session.seq) is None


async def test_frames_that_wait_after_a_resume_do_not_take_a_tick_each():
    """They leave in order, as fast as the socket takes them, and nobody is closed for having many."""
    subject = hub(tick_seconds=60.0)
    client, socket = opened(subject)
    await subject.flush()
    frames = [f'{{"n":{n}}}' for n in range(MAX_WAITING_FRAMES + 10)]
    client.owed = len(frames)
    client.session.frames.extend(frames)
    socket.futures[-1].set_result(None)
    client.sending = socket.futures[-1]
    subject.send(client, '{"n":"ping"}')
    await subject.flush()
    for _ in frames:
        socket.futures[-1].set_result(None)
        await subject.flush(time.monotonic())
    assert socket.closed is None
    assert [frame["n"] for frame in socket.sent if "n" in frame] == [*range(len(frames)), "ping"]


async def test_a_lost_subscriber_resyncs_everyone_in_a_new_epoch():
    """Each client is told, and waits for a processor again."""
    subject = hub()
    client, socket = opened(subject)
    await subject.flush()
    socket.futures[0].set_result(None)
    before = subject.epoch
    assert subject.lost_deliveries() == [client]
    await subject.flush()
    assert subject.epoch != before
    assert (socket.sent[-1]["type"], socket.sent[-1]["epoch"]) == ("resync", subject.epoch_of("s"))
    assert client.session.phase is Phase.WAITING


# --- limits ---------------------------------------------------------------------------------------


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=200))
def test_a_bucket_never_gives_more_than_its_rate(steps):
    """Whatever the clock does, at most `burst` plus what time refilled is granted."""
    now, moved, granted = 100.0, 0.0, 0
    bucket = Bucket(10.0, 20, now)
    for step in steps:
        now += step
        moved += max(step, 0.0)
        granted += bucket.take(now)
    assert granted <= 20 + moved * 10.0 + 1e-6


def test_two_missed_pings_are_death():
    """Anything heard in between starts over."""
    beat = Heartbeat(10.0, 0.0)
    assert not beat.due(9.0)
    assert beat.due(10.0)
    beat.heard(11.0)
    assert beat.due(20.0)
    assert beat.missed == 0
    assert beat.due(30.0)
    assert beat.due(40.0)
    assert beat.missed == 2


@pytest.mark.parametrize(
    ("groups", "scopes", "resumes"), [((), (), True), (("red",), (), False), ((), ("entities:admin",), False)]
)
async def test_resume_needs_the_same_rights(groups: tuple[str, ...], scopes: tuple[str, ...], resumes: bool):
    """A token that may see other things starts anew: the old session showed what this one may not see."""
    subject = hub()
    client, _ = opened(subject)
    await subject.flush()
    subject.detach(client, client.send)
    token = Identity("ann", frozenset(groups), frozenset(scopes))
    resumed = subject.resume("s", token, subject.epoch_of("s"), client.session.seq)
    assert (resumed is not None) == resumes
    assert ("s" in subject.clients) == resumes
