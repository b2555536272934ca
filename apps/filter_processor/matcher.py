"""Which sessions a change concerns: one numpy scan over all viewports, then exact checks on the few left."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from apps.contracts.access import may_see
from apps.contracts.bus import shard_of
from apps.contracts.filters import matches_any
from apps.filter_processor.geometry import above, below, boxes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from apps.contracts.bus import Registration
    from apps.contracts.entities import EntityChanged

    Flags = npt.NDArray[np.bool_]
    Rows = npt.NDArray[np.intp]

#: Kinds beyond these share the last bit and are told apart by the exact check.
_KIND_BITS: Final = 63
_EVERY_KIND: Final = np.uint64(2**64 - 1)
#: Above this many degrees a move is scanned as two points, below as the one box around them.
_FAR_DEGREES: Final = 1.0
_FIRST_ROWS: Final = 1024


@dataclass(slots=True)
class Viewer:
    """One session's registration and the rows of the arrays it fills (two across the antimeridian)."""

    registration: Registration
    shard: int
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """What a change means to one gateway: packed slots that see it now, and that saw it until now."""

    gateway: str
    shown: bytes
    gone: bytes


class Matcher:
    """All viewports of the held shards. Not thread-safe; times are monotonic milliseconds of the caller."""

    def __init__(self) -> None:
        self.viewers: dict[str, Viewer] = {}
        self._by_shard: dict[int, set[str]] = {}
        self._gateways: list[str] = []  # "" is a number nobody uses
        self._gateway_no: dict[str, int] = {}
        self._gateway_rows: list[int] = []
        self._kind_bit: dict[str, int] = {}
        self._owner: list[Viewer | None] = []
        self._free: list[int] = []
        self._allocate(_FIRST_ROWS)

    def _allocate(self, rows: int) -> None:
        self._south = np.full(rows, np.inf, np.float32)  # a free row is an empty box: it matches nothing
        self._north = np.full(rows, -np.inf, np.float32)
        self._west = np.full(rows, np.inf, np.float32)
        self._east = np.full(rows, -np.inf, np.float32)
        self._exact = np.zeros((rows, 4), np.float64)
        self._expires = np.zeros(rows, np.float64)
        self._kinds = np.zeros(rows, np.uint64)
        self._user = np.zeros(rows, np.uint32)
        self._everything = np.zeros(rows, np.bool_)  # above every access rule
        self._checked = np.zeros(rows, np.bool_)  # has filters, or kinds without a bit of their own
        self._split = np.zeros(rows, np.bool_)
        self._gateway = np.zeros(rows, np.intp)
        self._slot = np.zeros(rows, np.uint32)
        self._mask = np.zeros(rows, np.bool_)
        self._side = np.zeros(rows, np.bool_)

    def _grow(self) -> None:
        names = [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]
        old = {name: getattr(self, name) for name in names}
        used = len(self._owner)
        self._allocate(2 * len(self._south))
        for name, values in old.items():
            getattr(self, name)[:used] = values[:used]

    # --- viewports ------------------------------------------------------------------------------------------

    def put(self, registration: Registration, now: float) -> bool:
        """Take a registration, unless a newer one is known; returns whether the session was unknown."""
        session = registration.session
        known = self.viewers.get(session)
        fresh = known is None or bool(self._expires[known.rows[0]] <= now)
        if known is not None:
            if known.registration.rev > registration.rev:
                return False
            self._release(known)
        viewer = Viewer(registration, shard_of(registration.user))
        viewer.rows = tuple(
            self._fill(viewer, box, now + registration.ttl_ms) for box in boxes_of(registration)
        )
        self._split[list(viewer.rows)] = len(viewer.rows) > 1
        self.viewers[session] = viewer
        self._by_shard.setdefault(viewer.shard, set()).add(session)
        return fresh

    def drop(self, session: str, rev: int | None = None) -> None:
        """Forget a session; with `rev`, only if it has not registered again since."""
        viewer = self.viewers.get(session)
        if viewer is None or (rev is not None and viewer.registration.rev > rev):
            return
        self._release(viewer)
        del self.viewers[session]
        self._by_shard[viewer.shard].discard(session)

    def drop_shard(self, shard: int) -> None:
        """Forget every session of a shard."""
        for session in list(self._by_shard.get(shard, ())):
            self.drop(session)

    def of_shard(self, shard: int) -> Iterator[Registration]:
        """Return the registrations of a shard."""
        return (self.viewers[session].registration for session in self._by_shard.get(shard, ()))

    def expire(self, now: float) -> list[Registration]:
        """Forget what nobody renewed, and return it."""
        used = len(self._owner)
        late = {
            viewer.registration.session: viewer.registration
            for row in np.flatnonzero(self._expires[:used] <= now)
            if (viewer := self._owner[row]) is not None
        }
        for session in late:
            self.drop(session)
        return list(late.values())

    def _fill(self, viewer: Viewer, box: tuple[float, float, float, float], expires: float) -> int:
        registration = viewer.registration
        if self._free:
            row = self._free.pop()
            self._owner[row] = viewer
        else:
            row = len(self._owner)
            if row == len(self._south):
                self._grow()
            self._owner.append(viewer)
        south, west, north, east = box
        self._south[row], self._west[row] = below(south), below(west)
        self._north[row], self._east[row] = above(north), above(east)
        self._exact[row] = box
        self._expires[row] = expires
        kinds, told_apart = self._kind_mask(registration.kinds)
        self._kinds[row] = kinds
        self._checked[row] = bool(registration.filters) or not told_apart
        self._user[row] = zlib.crc32(registration.user.encode())
        self._everything[row] = registration.everything
        self._gateway[row] = number = self._number(registration.gateway)
        self._gateway_rows[number] += 1
        self._slot[row] = registration.slot
        return row

    def _release(self, viewer: Viewer) -> None:
        for row in viewer.rows:
            self._south[row] = self._west[row] = np.inf
            self._north[row] = self._east[row] = -np.inf
            self._owner[row] = None
            self._free.append(row)
            self._leave(int(self._gateway[row]))

    def _number(self, gateway: str) -> int:
        number = self._gateway_no.get(gateway)
        if number is not None:
            return number
        if "" in self._gateways:
            number = self._gateways.index("")
            self._gateways[number] = gateway
        else:
            number = len(self._gateways)
            self._gateways.append(gateway)
            self._gateway_rows.append(0)
        self._gateway_no[gateway] = number
        return number

    def _leave(self, number: int) -> None:
        self._gateway_rows[number] -= 1
        if not self._gateway_rows[number]:
            del self._gateway_no[self._gateways[number]]
            self._gateways[number] = ""

    def _kind_mask(self, kinds: tuple[str, ...]) -> tuple[np.uint64, bool]:
        if not kinds:
            return _EVERY_KIND, True
        bits = [self._bit(kind) for kind in kinds]
        return np.uint64(sum({1 << bit for bit in bits})), _KIND_BITS not in bits

    def _bit(self, kind: str) -> int:
        bit = self._kind_bit.get(kind)
        if bit is None:
            if len(self._kind_bit) >= _KIND_BITS:
                return _KIND_BITS
            bit = self._kind_bit[kind] = len(self._kind_bit)
        return bit

    # --- changes --------------------------------------------------------------------------------------------

    def match(self, before: EntityChanged | None, after: EntityChanged | None, now: float) -> list[Hit]:
        """Return who sees `after`, and who saw `before` and does not see `after`; None stands for absent."""
        rows = self._candidates(before, after)
        if not rows.size:
            return []
        shown = self._sees(after, rows, now)
        if before is None or before.deleted:
            return self._hits(rows[shown], rows[:0])
        # most of who saw it still does: only the others are asked about the state before
        rest = rows[~shown]
        lost = rest[self._sees(before, rest, now)] if rest.size else rest
        if lost.size:
            lost = self._without_halves(rows[shown], lost)
        return self._hits(rows[shown], lost)

    def _candidates(self, before: EntityChanged | None, after: EntityChanged | None) -> Rows:
        points = [state for state in (before, after) if state is not None]
        used = len(self._owner)
        if not points or not used:
            return np.empty(0, np.intp)
        mask, side = self._mask[:used], self._side[:used]
        lats, lons = [point.lat for point in points], [point.lon for point in points]
        if max(lats) - min(lats) + max(lons) - min(lons) <= _FAR_DEGREES:
            self._scan(min(lats), max(lats), min(lons), max(lons), mask, side)
            return np.flatnonzero(mask)
        self._scan(lats[0], lats[0], lons[0], lons[0], mask, side)
        first = np.flatnonzero(mask)
        self._scan(lats[1], lats[1], lons[1], lons[1], mask, side)
        return np.union1d(first, np.flatnonzero(mask))

    def _scan(
        self, lat_low: float, lat_high: float, lon_low: float, lon_high: float, mask: Flags, side: Flags
    ) -> None:
        used = len(mask)
        # the point is rounded outwards too: beside float32 arrays numpy rounds a float to the nearest
        np.less_equal(self._south[:used], above(lat_high), out=mask)
        for edge, value, inside in (
            (self._north, below(lat_low), np.greater_equal),
            (self._west, above(lon_high), np.less_equal),
            (self._east, below(lon_low), np.greater_equal),
        ):
            inside(edge[:used], value, out=side)
            mask &= side

    def _sees(self, state: EntityChanged | None, rows: Rows, now: float) -> Flags:
        """Decide exactly, per row: box in double precision, expiry, kind, access, filters."""
        if state is None or state.deleted:
            return np.zeros(len(rows), np.bool_)
        exact = self._exact[rows]
        sees = (exact[:, 0] <= state.lat) & (state.lat <= exact[:, 2])
        sees &= (exact[:, 1] <= state.lon) & (state.lon <= exact[:, 3])
        sees &= self._expires[rows] > now
        sees &= (self._kinds[rows] & np.uint64(1 << self._bit(state.kind))) != 0
        restricted = state.access.rule != "public"
        if state.access.rule == "owner":
            sees &= (self._user[rows] == zlib.crc32(state.access.owner.encode())) | self._everything[rows]
        one_by_one = sees if restricted else sees & self._checked[rows]
        for index in np.flatnonzero(one_by_one):
            sees[index] = self._allows(state, int(rows[index]))
        return sees

    def _allows(self, state: EntityChanged, row: int) -> bool:
        viewer = self._owner[row]
        if viewer is None:
            return False
        wanted = viewer.registration
        if not may_see(state.access, wanted.user, wanted.groups, everything=wanted.everything):
            return False
        if wanted.kinds and state.kind not in wanted.kinds:
            return False
        return matches_any(wanted.filters, state.kind, state.attributes)

    def _without_halves(self, shown: Rows, lost: Rows) -> Rows:
        """Across the antimeridian an entity may leave one half of a viewport for its other half."""
        if not self._split[lost].any():
            return lost
        seeing = {id(self._owner[int(row)]) for row in shown[self._split[shown]]}
        return np.array([row for row in lost if id(self._owner[int(row)]) not in seeing], np.intp)

    def _hits(self, shown: Rows, gone: Rows) -> list[Hit]:
        if not shown.size and not gone.size:
            return []
        if len(self._gateway_no) == 1:
            return [Hit(next(iter(self._gateway_no)), self._packed(shown), self._packed(gone))]
        shown_by, gone_by = self._gateway[shown], self._gateway[gone]
        return [
            Hit(
                self._gateways[int(number)],
                self._packed(shown[shown_by == number]),
                self._packed(gone[gone_by == number]),
            )
            for number in np.unique(np.concatenate((shown_by, gone_by)))
        ]

    def _packed(self, rows: Rows) -> bytes:
        return self._slot[rows].astype("<u4", copy=False).tobytes()
