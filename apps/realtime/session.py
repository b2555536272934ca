"""One client's state without any I/O: what it looks at, has, must be sent, and may resume."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

from apps.contracts import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.contracts.bus import Item
    from apps.contracts.entities import Trace
    from apps.contracts.filters import SavedFilter
    from apps.contracts.protocol import Bounds

#: Frames that wait for the socket beside the changes; a client that needs more is not reading.
MAX_WAITING_FRAMES: Final = 64
#: What a pending change costs beside its body.
_ITEM_BYTES: Final = 64


class Phase(IntEnum):
    """How far a session is; changes are taken from LOADING on."""

    IDLE = 0  # no viewport yet
    WAITING = 1  # registered; no processor has answered
    LOADING = 2  # a processor delivers, a snapshot is being read
    LIVE = 3


@dataclass(frozen=True, slots=True)
class View:
    """What the client looks at."""

    bounds: Bounds
    zoom: float = 0.0
    kinds: tuple[str, ...] = ()
    filter_ids: tuple[str, ...] = ()
    filters: tuple[SavedFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """An entity of a snapshot, encoded."""

    id: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Bounded:
    """The bounds of a session's buffers."""

    max_pending_bytes: int
    max_entities: int
    ring_bytes: int


class Session:
    """The state machine; the hub moves it and sends what it yields."""

    __slots__ = (
        "acked_rev",
        "changed_rev",
        "correlation_id",
        "epoch",
        "everything",
        "frames",
        "groups",
        "has",
        "head",
        "id",
        "limits",
        "order",
        "overrun",
        "pending",
        "pending_bytes",
        "phase",
        "processor",
        "replace",
        "rev",
        "ring",
        "ring_floor",
        "ring_size",
        "seq",
        "slot",
        "trace_part",
        "traceparent",
        "unanswered",
        "user",
        "view",
    )

    def __init__(
        self,
        session: str,
        slot: int,
        user: str,
        groups: Sequence[str],
        epoch: str,
        limits: Bounded,
        *,
        everything: bool = False,
    ) -> None:
        self.id = session
        self.slot = slot
        self.user = user
        self.groups = tuple(groups)
        #: Above every access rule.
        self.everything = everything
        self.limits = limits
        self.traced("", "")
        self.phase = Phase.IDLE
        self.view: View | None = None
        # registrations: the newest, the one that changed the view, the newest acknowledged
        self.rev = self.changed_rev = self.acked_rev = 0
        self.unanswered = 0
        self.processor = ""
        self.order = 0
        #: The next snapshot replaces everything (else it is sent as what differs).
        self.replace = True
        #: It was sent more than it could take: the next snapshot is not at once.
        self.overrun = False
        #: Version of every entity the client has.
        self.has: dict[str, int] = {}
        self.pending: dict[str, Item] = {}
        self.pending_bytes = 0
        #: Frames beside the changes, in order.
        self.frames: deque[str] = deque()
        self.seq = 0
        #: The last deltas, without a gap up to `seq`.
        self.ring: deque[str] = deque()
        self.ring_size = 0
        #: A client that has this sequence number can be brought up to date from the ring.
        self.ring_floor = 0
        self.begin_epoch(epoch)

    def begin_epoch(self, epoch: str) -> None:
        """Deliveries may have been missed: frames up to now can't be sent again."""
        self.epoch = epoch
        self.head = protocol.delta_head(epoch)
        self.forget_ring()

    def traced(self, traceparent: str, correlation_id: str) -> None:
        """Take the trace of the frame that the session does now."""
        self.traceparent, self.correlation_id = traceparent, correlation_id
        # not through its cache, which is for changes that go to many
        self.trace_part = protocol.delta_trace.__wrapped__(traceparent, correlation_id)

    # --- registration and acknowledgement ---------------------------------------------------------

    def look_at(self, view: View, rev: int) -> None:
        """Take a new viewport: nothing is sent until a processor answers for it."""
        self.view = view
        self.changed_rev = rev
        self.phase = Phase.WAITING
        self.replace = True
        self._forget_pending()
        self.registered(rev)

    def registered(self, rev: int) -> None:
        """Note that registration `rev` leaves."""
        self.rev = rev
        self.unanswered += 1

    def acknowledge(self, processor: str, order: int, rev: int, *, fresh: bool) -> bool:
        """Take a processor's `active`; returns whether a snapshot must be taken now."""
        if self.phase is Phase.IDLE or not self.changed_rev <= rev <= self.rev:
            return False
        # of two that overlap the later holder is believed, unless it has not answered for two registrations
        if order < self.order and self.unanswered < 2:
            return False
        same = processor == self.processor and order == self.order and not fresh
        waited = self.phase is Phase.WAITING
        self.processor, self.order = processor, order
        self.acked_rev = max(self.acked_rev, rev)
        self.unanswered = self.rev - self.acked_rev and self.unanswered
        if same and not waited:
            return False
        # changes wait until the snapshot is there: what it lacks is what the client must lose
        self.phase = Phase.LOADING
        return True

    def give_up_waiting(self) -> bool:
        """No processor answered in time: show what is stored now, and again once one answers."""
        if self.phase is not Phase.WAITING:
            return False
        self.phase = Phase.LOADING
        self.processor, self.order = "", 0
        return True

    # --- changes ----------------------------------------------------------------------------------

    def merge(self, item: Item) -> bool:
        """Keep the newest of each entity; returns False when there is more than a client may have pending."""
        pending, entity = self.pending, item.id
        size = len(item.body) + _ITEM_BYTES
        old = pending.get(entity)
        if old is not None:
            if old.version >= item.version:
                return True
            size -= len(old.body) + _ITEM_BYTES
        pending[entity] = item
        self.pending_bytes = size = self.pending_bytes + size
        return size <= self.limits.max_pending_bytes

    def overflow(self) -> None:
        """Too much is pending: leave it out, say so, and replace everything with the next snapshot."""
        self._forget_pending()
        self.replace = self.overrun = True
        if self.phase is Phase.LIVE:
            self.phase = Phase.LOADING
            self.announce_resync()

    def announce_resync(self) -> None:
        """Tell the client that a snapshot will follow."""
        self.seq += 1
        self.forget_ring()
        frame = protocol.Resync(self.epoch, self.seq, self.traceparent, self.correlation_id)
        self.frames.append(protocol.encode(frame))

    def show(self, rows: Sequence[Row], at: int, *, truncated: bool) -> None:
        """Take a snapshot: as a frame that replaces everything, or as the operations that differ."""
        self.phase = Phase.LIVE
        if not self.replace and not truncated:
            self._show_difference(rows, at)
            return
        self.replace = False
        self.has = {row.id: row.version for row in rows}
        self.seq += 1
        self.forget_ring()
        head = f'{{"v":1,"type":"snapshot","epoch":"{self.epoch}","seq":{self.seq},'
        if truncated:
            head += '"truncated":true,'
        head += self._trace()
        self.frames.append(f'{head}"entities":[{b",".join([row.body for row in rows]).decode()}]}}')

    def _show_difference(self, rows: Sequence[Row], at: int) -> None:
        stored = {row.id: row for row in rows}
        operations = [protocol.upsert(row.body) for row in rows if row.version > self.has.get(row.id, 0)]
        # what waits in `pending` may be newer than what was read: it stays and is compared when it leaves
        operations += [
            protocol.remove(entity, version) for entity, version in self.has.items() if entity not in stored
        ]
        self.has = {row.id: max(row.version, self.has.get(row.id, 0)) for row in rows}
        if operations:
            self.frames.append(self._delta(operations, at, self.trace_part))

    def take_delta(self, at: int) -> str | None:
        """Return the frame with everything pending that the client does not have yet, or None."""
        operations: list[bytes] = []
        has = self.has
        trace: Trace | None = None
        for item in self.pending.values():
            entity, version = item.id, item.version
            known = has.get(entity)
            if item.removed:
                if known is None or version <= known:
                    continue
                del has[entity]
            else:
                if known is None:
                    if len(has) >= self.limits.max_entities:
                        continue  # the client was told that it is shown only so many
                elif version <= known:
                    continue
                has[entity] = version
            operations.append(item.body)
            if item.trace.traceparent:
                # one frame is many changes: it carries the trace of the newest that has one
                trace = item.trace
        self.pending = {}
        self.pending_bytes = 0
        if not operations:
            return None
        if trace is None:
            return self._delta(operations, at, self.trace_part)
        return self._delta(operations, at, protocol.delta_trace(trace.traceparent, trace.correlation_id))

    def _delta(self, operations: list[bytes], at: int, trace: str) -> str:
        self.seq = seq = self.seq + 1
        frame = protocol.delta_of(self.head, seq, at, trace, operations)
        self.ring.append(frame)
        self.ring_size += len(frame)
        while self.ring_size > self.limits.ring_bytes:
            self.ring_size -= len(self.ring.popleft())
            self.ring_floor += 1
        return frame

    def _trace(self) -> str:
        trace = f'"traceparent":"{self.traceparent}",' if self.traceparent else ""
        return trace + (f'"correlation_id":"{self.correlation_id}",' if self.correlation_id else "")

    def _forget_pending(self) -> None:
        self.pending = {}
        self.pending_bytes = 0

    # --- resume -----------------------------------------------------------------------------------

    def forget_ring(self) -> None:
        """Frames up to now can't be sent again."""
        self.ring.clear()
        self.ring_size = 0
        self.ring_floor = self.seq

    def missed(self, epoch: str, since: int) -> list[str] | None:
        """Return every frame after `since`, or None when one of them is not kept: never a part."""
        if epoch != self.epoch or not self.ring_floor <= since <= self.seq:
            return None
        return list(islice(self.ring, since - self.ring_floor, None))
