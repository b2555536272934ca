"""The engine is idempotent: duplicated, reordered and late changes end in the same picture."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.contracts.bus import unpack_slots
from apps.contracts.entities import Access
from apps.filter_processor.engine import Engine
from apps.filter_processor.matcher import Matcher
from tests.apps.filter_processor.support import change, registration, sees


def engine(*registrations, tombstones=100, max_affected=1000):
    """An engine whose matcher holds these registrations."""
    matcher = Matcher()
    for one in registrations:
        matcher.put(one, 0.0)
    return Engine(matcher, tombstones, max_affected)


class Client:
    """What one client holds, by the rules of the gateway: newest version wins, removes only what it has."""

    def __init__(self):
        self.has = {}

    def take(self, item):
        if item.removed:
            if item.id in self.has and item.version > self.has[item.id]:
                del self.has[item.id]
        elif item.version > self.has.get(item.id, 0):
            self.has[item.id] = item.version


def test_leaving_the_viewport_is_a_remove_for_who_had_it():
    """Those who never saw the entity hear nothing."""
    subject = engine(
        registration("in", 1, 1, west=0.0, east=10.0), registration("out", 2, 2, west=50.0, east=60.0)
    )
    list(subject.apply(change(lon=5.0), 1.0))
    items = list(subject.apply(change(version=2, lon=20.0), 1.0))
    assert [(item.removed, list(unpack_slots(item.slots)), item.version) for _, item in items] == [
        (True, [1], 2)
    ]


def test_losing_access_and_deletion_are_removes():
    """A rule that changes takes the entity from exactly those it excludes; deletion from all."""
    subject = engine(registration("a", 1, 1, user="ann"), registration("b", 2, 2, user="bob"))
    list(subject.apply(change(), 1.0))
    revoked = list(subject.apply(change(version=2, access=Access("owner", "bob")), 1.0))
    assert sorted((item.removed, list(unpack_slots(item.slots))) for _, item in revoked) == [
        (False, [2]),
        (True, [1]),
    ]
    deleted = list(subject.apply(change(version=3, deleted=True, access=Access("owner", "bob")), 1.0))
    assert [(item.removed, list(unpack_slots(item.slots))) for _, item in deleted] == [(True, [2])]


def test_duplicates_are_skipped():
    """The same version twice is delivered once."""
    subject = engine(registration())
    assert list(subject.apply(change(), 1.0))
    assert not list(subject.apply(change(), 1.0))
    assert subject.counts.duplicates == 1


def test_a_deleted_entity_does_not_come_back_with_a_late_change():
    """The tombstone outlives the deletion; only the oldest of too many are forgotten."""
    subject = engine(registration(), tombstones=2)
    list(subject.apply(change(version=2, deleted=True), 1.0))
    assert not [item for _, item in subject.apply(change(version=1), 1.0) if not item.removed]
    for n in range(3):
        list(subject.apply(change(f"e{n}", 2, deleted=True), 1.0))
    assert len(subject._tombstones) == 2
    assert subject.size == 0


@settings(max_examples=200, deadline=None)
@given(
    path=st.lists(st.tuples(st.sampled_from([5.0, 20.0]), st.booleans()), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    snapshot=st.integers(0, 6),
    again=st.lists(st.integers(0, 5), max_size=4),
)
def test_any_order_of_the_stream_ends_in_the_true_picture(path, order, snapshot, again):
    """A client whose snapshot showed any state ends with the newest one, or without the entity."""
    wanted = registration(west=0.0, east=10.0)
    history = [change(version=n + 1, lon=lon, deleted=deleted) for n, (lon, deleted) in enumerate(path)]
    shown = history[min(snapshot, len(history)) - 1] if snapshot else None
    # the snapshot is newer than all that the processor had before, so only later and equal versions may follow
    stream = [*history, *(history[n % len(history)] for n in again)]
    order.shuffle(stream)
    subject, client = engine(wanted), Client()
    if shown is not None and sees(wanted, shown):
        client.has["e"] = shown.version
    for one in stream:
        for _, item in subject.apply(one, 1.0):
            client.take(item)
    assert client.has == ({"e": history[-1].version} if sees(wanted, history[-1]) else {})


class Play:
    """One entity's life before clients that come one by one."""

    AREAS = ((0.0, 10.0, "ann"), (0.0, 30.0, "bob"), (6.0, 50.0, "ann"), (0.0, 60.0, "bob"))

    def __init__(self, cap):
        self.engine = engine(max_affected=cap)
        self.stored = []
        self.clients = []
        self.change(5.0, "public", deleted=False)

    def change(self, lon, rule, *, deleted):
        version = len(self.stored) + 1
        self.stored.append(change(version=version, lon=lon, access=Access(rule, "ann"), deleted=deleted))
        self.deliver(self.engine.apply(self.stored[-1], 1.0))

    def join(self):
        if len(self.clients) == len(self.AREAS):
            return
        number = len(self.clients)
        west, east, user = self.AREAS[number]
        wanted = registration(f"s{number}", number, number + 1, west=west, east=east, user=user)
        self.engine.matcher.put(wanted, 0.0)
        self.clients.append((wanted, Client()))
        if sees(wanted, self.stored[-1]):
            self.clients[-1][1].has["e"] = self.stored[-1].version

    def deliver(self, items):
        for _, item in items:
            for slot in unpack_slots(item.slots):
                self.clients[slot][1].take(item)


def test_above_the_cap_the_newest_version_waits_for_the_slow_tick():
    """However often the entity changes it waits once; the counters say how often it was put off."""
    subject = engine(*(registration(f"s{n}", n, n + 1) for n in range(3)), max_affected=2)
    for version in (1, 2, 3):
        assert not list(subject.apply(change(version=version), 1.0))
    assert (subject.waiting, subject.counts.conflated) == (1, 3)
    released = [(item.version, sorted(unpack_slots(item.slots))) for _, item in subject.release(1.0)]
    assert released == [(3, [0, 1, 2])]
    assert (subject.waiting, subject.counts.released) == (0, 1)
    assert not list(subject.release(1.0))


def test_who_loses_an_entity_is_told_at_once_whatever_the_cap():
    """A revoked access does not wait for the slow tick, for as many as there are."""
    subject = engine(*(registration(f"s{n}", n, n + 1, user=f"u{n}") for n in range(3)), max_affected=1)
    assert not list(subject.apply(change(), 1.0))
    items = [item for _, item in subject.apply(change(version=2, access=Access("owner", "u1")), 1.0)]
    assert sorted((item.removed, *unpack_slots(item.slots)) for item in items) == [
        (False, 1),
        (True, 0, 2),
    ]
    assert not subject.waiting, "nobody is left who was not told"


def test_what_waits_longest_is_released_first():
    """An entity that changes all the time does not push itself back, nor the others."""
    subject = engine(*(registration(f"s{n}", n, n + 1) for n in range(2)), max_affected=1)
    for entity, version in (("a", 1), ("b", 1), ("a", 2)):
        list(subject.apply(change(entity, version), 1.0))
    assert [item.id for _ in range(3) for _, item in subject.release(1.0)] == ["a", "b"]


@settings(max_examples=200, deadline=None)
@given(
    history=st.lists(
        st.tuples(
            st.sampled_from(["change", "change", "change", "late", "join", "release"]),
            st.sampled_from([5.0, 7.0, 20.0, 40.0]),
            st.sampled_from(["public", "owner"]),
            st.booleans(),
        ),
        max_size=14,
    ),
    cap=st.integers(1, 3),
)
def test_with_a_cap_everyone_ends_with_the_true_picture(history, cap):
    """Whoever joins when, with a snapshot of what is stored then, has what is true after the last tick."""
    play = Play(cap)
    for what, lon, rule, deleted in history:
        if what == "change":
            play.change(lon, rule, deleted=deleted)
        elif what == "late":
            play.deliver(play.engine.apply(play.stored[int(lon) % len(play.stored)], 1.0))
        elif what == "release":
            play.deliver(play.engine.release(1.0))
        else:
            play.join()
    while play.engine.waiting:
        play.deliver(play.engine.release(1.0))
    newest = play.stored[-1]
    for wanted, client in play.clients:
        assert client.has == ({"e": newest.version} if sees(wanted, newest) else {})
