"""All sessions of the process: one dirty list, one timer, at most one frame in flight per client."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from apps.contracts import protocol
from apps.contracts.access import sees_all
from apps.contracts.bus import Active, Delivery, unpack_slots
from apps.platform.histogram import Histogram
from apps.platform.log import Log
from apps.platform.pacing import Bell
from apps.realtime.session import MAX_WAITING_FRAMES, Bounded, Phase, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apps.platform.auth import Identity
    from apps.realtime.channels import Listener
    from apps.realtime.session import Row

log = Log("slipway.hub")

#: How soon a client is looked at again that has more frames or an unfinished send, at a tick of 0 too.
POLL_SECONDS: Final = 0.005
#: Clients flushed before the loop may do something else.
_BATCH: Final = 256
#: Of the frames of a tick the first and every so many more tell how old their changes are.
_SAMPLED: Final = 16


@dataclass(slots=True)
class Counts:
    """What happened since the process started; every loss has a number."""

    frames: int = 0
    received: int = 0
    items: int = 0
    deliveries: int = 0
    foreign: int = 0
    skipped: int = 0
    overflows: int = 0
    resyncs: int = 0
    stalled: int = 0
    recovered: int = 0
    not_recovered: int = 0


class Client:
    """A session and the socket it is on, if any."""

    __slots__ = (
        "close",
        "detached_at",
        "dirty",
        "due",
        "load_when_read",
        "mail",
        "owed",
        "send",
        "sending",
        "session",
        "stalled_at",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        #: The server's raw send; None while the client is away.
        self.send: Callable[[str], Any] | None = None
        self.close: Callable[[protocol.Close, str], None] | None = None
        self.sending: Any = None
        self.stalled_at = 0.0
        self.detached_at = 0.0
        self.dirty = False
        self.due = 0.0
        #: A snapshot is due once the frames before it are gone.
        self.load_when_read = False
        #: Frames it was given back with its session: they are no sign that it does not read.
        self.owed = 0
        #: Messages that wait for the socket beside the map.
        self.mail: Listener | None = None


class Hub:
    """A service; nothing in it awaits but its timer."""

    name = "hub"

    def __init__(
        self,
        gateway: str,
        limits: Bounded,
        *,
        tick_seconds: float,
        stall_seconds: float,
        max_detached: int,
        slot_rest_seconds: float,
    ) -> None:
        self.gateway = gateway
        self.counts = Counts()
        #: From the commit of a change to the socket, and from a processor's publish to us.
        self.delivery = Histogram()
        self.bus_lag = Histogram()
        self.clients: dict[str, Client] = {}
        self.by_user: dict[str, set[str]] = {}
        #: Asked for a snapshot of a session; set by who wires.
        self.load: Callable[[Client], None] = lambda _client: None
        #: Told when a session is forgotten; set by who wires.
        self.forgotten: Callable[[Session], None] = lambda _session: None
        self._limits = limits
        self._tick = tick_seconds
        self._stall = stall_seconds
        self._max_detached = max_detached
        self._slot_rest = slot_rest_seconds
        self._epoch = 0
        self._slots: list[Client | None] = []
        # processors may still deliver for who had a slot before: it rests until all registrations are over
        self._free: deque[tuple[float, int]] = deque()
        self._detached: dict[str, Client] = {}
        # in the order of their turns: a tick is the same for all
        self._dirty: deque[Client] = deque()
        self._bell = Bell()

    @property
    def epoch(self) -> str:
        """Changes whenever deliveries may have been missed."""
        return f"{self.gateway}.{self._epoch}"

    def epoch_of(self, session: str) -> str:
        """The epoch as one session's frames name it.

        A client whose new session ended before its first snapshot still has the numbers of the one before:
        in an epoch of their own they can't pass for numbers of the new one.
        """
        return f"{self.epoch}.{session[:8]}"

    # --- sessions ---------------------------------------------------------------------------------

    def open(self, session: str, identity: Identity) -> Client:
        """Make a session for an identified client."""
        rested = self._free and self._free[0][0] <= time.monotonic()
        slot = self._free.popleft()[1] if rested else len(self._slots)
        made = Session(
            session,
            slot,
            identity.user,
            sorted(identity.groups),
            self.epoch_of(session),
            self._limits,
            everything=sees_all(identity.scopes),
        )
        client = Client(made)
        if slot == len(self._slots):
            self._slots.append(client)
        else:
            self._slots[slot] = client
        self.clients[session] = client
        self.by_user.setdefault(identity.user, set()).add(session)
        return client

    def resume(
        self, session: str, identity: Identity, epoch: str, since: int
    ) -> tuple[Client, list[str]] | None:
        """Give a client its session back with the frames it missed, or None: then it starts anew."""
        client = self.clients.get(session)
        if client is None or client.session.user != identity.user:
            self.counts.not_recovered += 1
            return None
        missed = client.session.missed(epoch, since)
        # a token that may see other things now must not go on with what the old one was shown
        same = (client.session.groups, client.session.everything) == (
            tuple(sorted(identity.groups)),
            sees_all(identity.scopes),
        )
        if missed is None or not same or client.session.phase is not Phase.LIVE or client.session.frames:
            self._leave_socket(client)
            self.forget(client)
            self.counts.not_recovered += 1
            return None
        self._leave_socket(client)
        self._detached.pop(session, None)
        self.counts.recovered += 1
        return client, missed

    @staticmethod
    def _leave_socket(client: Client) -> None:
        """Close the old socket, which may be half-open still: the newer one wins."""
        if client.close is not None:
            client.close(protocol.Close.TRY_LATER, "session.taken_over")
        client.send = client.close = client.sending = None
        client.stalled_at = 0.0

    def detach(self, client: Client, send: Callable[[str], Any]) -> None:
        """The socket ended: keep merging for a while, so that the client may resume."""
        if client.send is not send:
            return  # resumed on another socket
        client.send = client.close = client.sending = None
        client.stalled_at = 0.0
        if self._max_detached == 0 or client.session.phase is not Phase.LIVE:
            self.forget(client)
            return
        client.detached_at = time.monotonic()
        self._detached[client.session.id] = client
        if len(self._detached) > self._max_detached:
            self.forget(next(iter(self._detached.values())))

    def forget(self, client: Client) -> None:
        """End a session for good."""
        session = client.session
        if self.clients.pop(session.id, None) is None:
            return
        self._detached.pop(session.id, None)
        self._slots[session.slot] = None
        self._free.append((time.monotonic() + self._slot_rest, session.slot))
        mine = self.by_user[session.user]
        mine.discard(session.id)
        if not mine:
            del self.by_user[session.user]
        self.forgotten(session)

    def at(self, slot: int) -> Client | None:
        """Return who has a slot."""
        return self._slots[slot] if 0 <= slot < len(self._slots) else None

    def forget_detached(self, before: float) -> None:
        """End sessions whose clients have been away since `before`."""
        for client in list(self._detached.values()):
            if client.detached_at > before:
                return  # in the order they left
            self.forget(client)

    # --- from the bus -----------------------------------------------------------------------------

    def active(self, message: Active) -> None:
        """Take a processor's acknowledgements."""
        for slot, rev, fresh in message.sessions:
            client = self.at(slot)
            if client is not None and client.session.acknowledge(
                message.processor, message.order, rev, fresh=fresh
            ):
                self.load(client)

    def deliver(self, message: Delivery) -> None:
        """Merge changes into the sessions they are for."""
        # the hottest loop of the process: what it needs is at hand, and counted at the end
        slots, processor, loading = self._slots, message.processor, Phase.LOADING
        count, known, foreign = 0, len(slots), 0
        self.bus_lag.note(time.time_ns() // 1_000_000 - message.at)
        self.counts.items += len(message.items)
        for item in message.items:
            for slot in unpack_slots(item.slots):
                client = slots[slot] if slot < known else None
                if client is None:
                    continue
                session = client.session
                if session.phase < loading or session.processor != processor:
                    foreign += 1
                    continue
                count += 1
                if not session.merge(item):
                    self._overflow(client)
                elif not client.dirty:
                    self.touch(client)
        self.counts.deliveries += count
        self.counts.foreign += foreign

    def _overflow(self, client: Client) -> None:
        self.counts.overflows += 1
        if client.send is None:
            self.forget(client)  # it could not be resumed completely
            return
        self.counts.resyncs += 1
        client.session.overflow()
        self.touch(client)
        self.load(client)

    def lost_deliveries(self) -> list[Client]:
        """The subscriber's connection ended: a new epoch, and everybody must be brought up to date."""
        self._epoch += 1
        concerned: list[Client] = []
        for client in list(self.clients.values()):
            session = client.session
            if client.send is None:
                self.forget(client)
                continue
            session.begin_epoch(self.epoch_of(session.id))
            if session.view is not None:
                self.counts.resyncs += 1
                session.replace = True
                if session.phase is Phase.LIVE:
                    session.announce_resync()
                    self.touch(client)
                session.phase = Phase.WAITING
                session.processor, session.order = "", 0
                concerned.append(client)
        return concerned

    def show(self, client: Client, rows: Sequence[Row], *, truncated: bool) -> None:
        """Hand a snapshot to its session."""
        client.session.show(rows, time.time_ns() // 1_000_000, truncated=truncated)
        self.touch(client)

    # --- sending ----------------------------------------------------------------------------------

    def send(self, client: Client, frame: str) -> None:
        """Queue a frame beside the changes; too many mean that the client does not read."""
        if len(client.session.frames) >= MAX_WAITING_FRAMES + client.owed:
            self._close_stalled(client)
            return
        client.session.frames.append(frame)
        self.touch(client)

    def touch(self, client: Client) -> None:
        """Look at the client a tick from now: each has its own, so that not all of them leave at once."""
        if not client.dirty:
            client.dirty = True
            client.due = time.monotonic() + self._tick
            self._dirty.append(client)
            self._bell.ring()

    def _soon(self, client: Client, now: float) -> None:
        """Look at a client that reads again at once: frames that wait in order are not worth a tick each."""
        client.dirty = True
        client.due = now
        self._dirty.appendleft(client)

    async def run(self, stop: asyncio.Event) -> None:
        """Flush each client a tick after its first change, until told to stop; then all of them."""
        with self._bell.also(stop):
            while not stop.is_set():
                await self._bell.wait()
                await asyncio.sleep(self._rest())
                await self.flush(math.inf if stop.is_set() else time.monotonic())

    def _rest(self) -> float:
        """How long the timer sleeps: until the first is due, and so much more that several leave together."""
        if not self._tick:
            return POLL_SECONDS if self._busy() else 0
        first = self._dirty[0].due if self._dirty else 0.0
        return max(first - time.monotonic(), 0.0) + POLL_SECONDS

    def _busy(self) -> bool:
        """Whether the first that waits is still being sent to: it must not be asked all the time."""
        sending = self._dirty[0].sending if self._dirty else None
        return sending is not None and not sending.done()

    async def flush(self, due: float = math.inf) -> None:
        """Send at most one frame to each client that is due by then."""
        waiting, dirty = self._dirty, list[Client]()
        while waiting and waiting[0].due <= due:
            dirty.append(waiting.popleft())
        self._bell.heard()
        at = time.time_ns() // 1_000_000
        now = time.monotonic()
        for start in range(0, len(dirty), _BATCH):
            if start:
                await asyncio.sleep(0)
            batch = dirty[start : start + _BATCH]
            self._sample(batch[::_SAMPLED])
            for client in batch:
                client.dirty = False
                if not self._flush_one(client, at, now):
                    continue
                if client.session.frames and client.stalled_at == 0.0:
                    self._soon(client, now)
                else:
                    self.touch(client)
        if waiting:
            self._bell.ring()

    def _sample(self, clients: Sequence[Client]) -> None:
        """Note how old the changes are that leave now; beside the loop over all, so that it costs the few."""
        now = time.time_ns() // 1_000_000
        for client in clients:
            session, sending = client.session, client.sending
            free = sending is None or sending.done()
            if (
                session.pending
                and free
                and not session.frames
                and client.send
                and session.phase is Phase.LIVE
            ):
                changed_at = next(iter(session.pending.values())).changed_at
                if changed_at:
                    self.delivery.note(now - changed_at)

    def _flush_one(self, client: Client, at: int, now: float) -> bool:
        """Return whether the client must be looked at again although nothing new happens."""
        send, session = client.send, client.session
        if send is None:
            return False
        sending = client.sending
        if sending is not None:
            if not sending.done():
                return self._wait_longer(client, now)
            client.stalled_at = 0.0
            client.sending = None
        frames, mail = session.frames, client.mail
        if frames:
            frame = frames.popleft()
        elif mail is not None and mail.waiting:
            frame = self._in_turns(session, mail, at)
        else:
            frame = self._changes(session, at)
        if frame is None:
            return False
        self.counts.frames += 1
        client.sending = send(frame)
        if client.load_when_read and not frames:
            client.load_when_read = False
            self.load(client)
        if frames or (mail is not None and mail.waiting):
            return True
        return bool(session.pending) and session.phase is Phase.LIVE

    def _wait_longer(self, client: Client, now: float) -> bool:
        """Return whether a client that still takes its last frame is waited for."""
        self.counts.skipped += 1
        if not client.stalled_at:
            client.stalled_at = now
        elif now - client.stalled_at > self._stall:
            self._close_stalled(client)
            return False
        return True

    def _in_turns(self, session: Session, mail: Listener, at: int) -> str | None:
        # a flood of messages must not hold up the map, nor the map the messages
        mail.took_turn = not mail.took_turn
        return mail.take() if mail.took_turn else self._changes(session, at) or mail.take()

    def _changes(self, session: Session, at: int) -> str | None:
        if not session.pending or session.phase is not Phase.LIVE:
            return None
        return session.take_delta(at)

    def _close_stalled(self, client: Client) -> None:
        self.counts.stalled += 1
        log.warning("client.stalled", session=client.session.id)
        close = client.close
        self.forget(client)
        if close is not None:
            close(protocol.Close.SLOW, "consumer.slow")
