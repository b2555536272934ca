"""Which sessions a change concerns: the index names the few that may, exact checks decide."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np

from apps.contracts.access import may_see
from apps.contracts.bus import shard_of
from apps.contracts.filters import matches_any
from apps.contracts.views import KindRule, KindRules, boxes
from apps.filter_processor.gateways import CHANGE_BITS, Gateways
from apps.filter_processor.geometry import edges_around
from apps.filter_processor.index import Grid, Scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from apps.contracts.bus import Registration
    from apps.contracts.entities import EntityChanged
    from apps.contracts.views import Box
    from apps.filter_processor.gateways import Hit
    from apps.filter_processor.index import Rows

    Flags = npt.NDArray[np.bool_]

#: Kinds beyond these share the last bit and are told apart by the exact check.
_KIND_BITS: Final = 63
_EVERY_KIND: Final = np.uint64(2**64 - 1)
_FIRST_ROWS: Final = 1024
#: Rows above which cells are cheaper than one scan. They are given up again at a lower number: sessions that
#: come and go must not build them each time.
GRID_ROWS: Final = 50_000
_GIVE_UP: Final = 0.8
#: Four flags in a row, all set.
_ALL_FOUR: Final = np.uint32(0x01010101)
_NOBODY: Final = np.empty(0, np.intp)
#: No edge is as large.
_OUTSIDE: Final = (inf, inf, inf, inf)
_NO_RULE: Final = KindRule(0.0, 0)


@dataclass(slots=True)
class Viewer:
    """One session's registration and the rows of the arrays it fills (two across the antimeridian)."""

    registration: Registration
    shard: int
    rows: tuple[int, ...] = ()


class Matcher:
    """All viewports of the held shards. Not thread-safe; times are monotonic milliseconds of the caller."""

    def __init__(self, rules: KindRules | None = None, grid_rows: int = GRID_ROWS) -> None:
        self.viewers: dict[str, Viewer] = {}
        self._rules = rules or KindRules()
        self._grid_rows = grid_rows
        self._by_shard: dict[int, set[str]] = {}
        self._gateways = Gateways()
        self._kind_bit: dict[str, int] = {}
        self._owner: list[Viewer | None] = []
        self._free: list[int] = []
        # how many rows need a check at all: most stacks have some of these never
        self._with_kinds = self._with_checks = 0
        #: No row expires before: most changes need not look.
        self._first_expiry = inf
        self._scan = Scan()
        self._grid: Grid | None = None
        self._allocate(_FIRST_ROWS)

    def _allocate(self, rows: int) -> None:
        # per margin the box in double precision, as the edges of `geometry`; a free row is an empty box
        self._exact = [np.full((rows, 4), -inf) for _ in self._rules.margins]
        self._expires = np.full(rows, inf)
        self._zoom = np.zeros(rows)
        self._kinds = np.zeros(rows, np.uint64)
        self._user = np.zeros(rows, np.uint32)
        self._everything = np.zeros(rows, np.bool_)  # above every access rule
        self._checked = np.zeros(rows, np.bool_)  # has filters, or kinds without a bit of their own
        self._split = np.zeros(rows, np.bool_)
        self._address = np.zeros(rows, np.uint64)

    def _grow(self) -> None:
        old, exact = dict(vars(self)), self._exact
        used = len(self._owner)
        self._allocate(2 * len(self._expires))
        for name, values in old.items():
            if isinstance(values, np.ndarray):
                getattr(self, name)[:used] = values[:used]
        for now, before in zip(self._exact, exact, strict=True):
            now[:used] = before[:used]

    # --- viewports ------------------------------------------------------------------------------------------

    def put(self, registration: Registration, now: float) -> bool:
        """Take a registration, unless a newer one is known; returns whether the session was unknown."""
        session = registration.session
        known = self.viewers.get(session)
        fresh = known is None or bool(self._expires[known.rows[0]] <= now)
        expires = now + registration.ttl_ms
        if known is not None:
            if known.registration.rev > registration.rev:
                return False
            if _same(known.registration, registration):
                # a renewal, and most registrations are
                known.registration = registration
                self._expires[list(known.rows)] = expires
                self._first_expiry = min(self._first_expiry, expires)
                return fresh
            self._release(known)
        viewer = Viewer(registration, shard_of(registration.user))
        views = self._views(registration)
        viewer.rows = tuple(self._fill(viewer, view, expires) for view in views)
        self._split[list(viewer.rows)] = len(viewer.rows) > 1
        self._first_expiry = min(self._first_expiry, expires)
        self.viewers[session] = viewer
        self._by_shard.setdefault(viewer.shard, set()).add(session)
        self._choose_index()
        return fresh

    def drop(self, session: str, rev: int | None = None) -> None:
        """Forget a session; with `rev`, only if it has not registered again since."""
        viewer = self.viewers.get(session)
        if viewer is None or (rev is not None and viewer.registration.rev > rev):
            return
        self._release(viewer)
        del self.viewers[session]
        self._by_shard[viewer.shard].discard(session)
        self._choose_index()

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
        self._first_expiry = float(self._expires[:used].min(initial=inf))
        return list(late.values())

    def _views(self, registration: Registration) -> list[tuple[Box | None, ...]]:
        """Return, for each row to fill, the box of each margin: a larger one may cross the antimeridian."""
        west, east = registration.west, registration.east
        found = [
            boxes(registration.south, west, registration.north, east, margin)
            for margin in self._rules.margins
        ]
        if len(found) == 1:
            return [(box,) for box in found[0]]
        edge = min((next(iter(halves)).west for halves in found if len(halves) > 1), default=-inf)
        # an undivided box lies with the half it is part of
        placed = [
            halves if len(halves) > 1 or next(iter(halves)).west >= edge else (None, *halves)
            for halves in found
        ]
        return list(zip_longest(*placed))

    def _fill(self, viewer: Viewer, view: tuple[Box | None, ...], expires: float) -> int:
        registration = viewer.registration
        if self._free:
            row = self._free.pop()
            self._owner[row] = viewer
        else:
            row = len(self._owner)
            if row == len(self._expires):
                self._grow()
            self._owner.append(viewer)
        edges = edges_around([box for box in view if box is not None])
        self._scan.put(row, edges)
        if self._grid is not None:
            self._grid.put(row, edges)
        for exact, box in zip(self._exact, view, strict=True):
            exact[row] = -inf if box is None else (-box[0], -box[1], box[2], box[3])
        self._expires[row] = expires
        self._zoom[row] = registration.zoom
        kinds, told_apart = self._kind_mask(registration.kinds)
        self._kinds[row] = kinds
        self._with_kinds += bool(registration.kinds)
        self._checked[row] = checked = bool(registration.filters) or not told_apart
        self._with_checks += checked
        self._user[row] = zlib.crc32(registration.user.encode())
        self._everything[row] = registration.everything
        self._address[row] = self._gateways.enter(registration.gateway, registration.slot)
        return row

    def _release(self, viewer: Viewer) -> None:
        for row in viewer.rows:
            if self._grid is not None:
                self._grid.take(row, self._scan.edges[:, row])
            self._scan.take(row)
            for exact in self._exact:
                exact[row] = -inf
            self._expires[row] = inf
            self._owner[row] = None
            self._free.append(row)
            self._with_kinds -= bool(viewer.registration.kinds)
            self._with_checks -= bool(self._checked[row])
            self._gateways.leave(int(self._address[row]))

    def _choose_index(self) -> None:
        rows = len(self._owner) - len(self._free)
        if self._grid is None:
            if rows > self._grid_rows:
                self._grid = Grid(self._scan.edges)
        elif rows < self._grid_rows * _GIVE_UP:
            self._grid = None

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
        return self.match_all([(before, after)], now)[0]

    def match_all(
        self, changes: Sequence[tuple[EntityChanged | None, EntityChanged | None]], now: float
    ) -> list[list[Hit]]:
        """Match up to 65,535 changes: each looks for its rows, then all are decided in a few steps."""
        old = [_present(before) for before, _ in changes]
        new = [_present(after) for _, after in changes]
        near = (self._grid or self._scan).near
        found = [
            near([(state.lat, state.lon) for state in states if state is not None])
            if any(states)
            else _NOBODY
            for states in zip(old, new, strict=True)
        ]
        rows: Rows = np.concatenate(found)
        if not rows.size:
            return [[] for _ in changes]
        candidates = _Candidates(rows, found)
        now_seen = self._sees(new, candidates, now)
        shown = now_seen.nonzero()[0]
        gone = (self._sees(old, candidates, now) > now_seen).nonzero()[0]
        if gone.size and self._split.take(rows.take(gone)).any():
            gone = self._without_halves(candidates, shown, gone)
        addresses = candidates.change << np.uint64(CHANGE_BITS) | self._address.take(rows)
        return self._gateways.hits(addresses.take(shown), addresses.take(gone), len(changes))

    def _sees(self, states: Sequence[EntityChanged | None], candidates: _Candidates, now: float) -> Flags:
        """Decide exactly, per candidate: box in double precision, zoom, expiry, kind, access, filters."""
        if not any(states):
            return np.zeros(len(candidates.rows), np.bool_)
        rows, which = candidates.rows, candidates.which
        rules = [_NO_RULE if state is None else self._rules.of(state.kind) for state in states]
        points = np.array(
            [
                _OUTSIDE if state is None else (-state.lat, -state.lon, state.lat, state.lon)
                for state in states
            ]
        )
        inside = self._edges(rules, candidates) >= points.take(which, axis=0)
        sees = inside.view(np.uint32)[:, 0] == _ALL_FOUR
        if any(rule.min_zoom for rule in rules):
            sees &= self._zoom.take(rows) >= np.array([rule.min_zoom for rule in rules]).take(which)
        if now >= self._first_expiry:
            sees &= self._expires.take(rows) > now
        if self._with_kinds:
            bits = [0 if state is None else 1 << self._bit(state.kind) for state in states]
            sees &= (self._kinds.take(rows) & np.array(bits, np.uint64).take(which)) != 0
        for state, part in zip(states, candidates.parts, strict=True):
            if state is not None and (self._with_checks or state.access.rule != "public"):
                self._decide(state, rows[part], sees[part])
        return sees

    def _edges(self, rules: Sequence[KindRule], candidates: _Candidates) -> npt.NDArray[np.float64]:
        if len(self._exact) == 1:
            if candidates.edges is None:
                candidates.edges = self._exact[0].take(candidates.rows, axis=0)
            return candidates.edges
        margins = np.array([rule.margin for rule in rules]).take(candidates.which)
        edges = np.empty((len(candidates.rows), 4))
        for margin, exact in enumerate(self._exact):
            here = margins == margin
            edges[here] = exact.take(candidates.rows[here], axis=0)
        return edges

    def _decide(self, state: EntityChanged, rows: Rows, sees: Flags) -> None:
        """Take away those whose access or filters exclude the state."""
        if state.access.rule == "owner":
            owner = np.uint32(zlib.crc32(state.access.owner.encode()))
            sees &= (self._user.take(rows) == owner) | self._everything.take(rows)
        one_by_one = sees if state.access.rule != "public" else sees & self._checked.take(rows)
        for index in one_by_one.nonzero()[0].tolist():
            sees[index] = self._allows(state, int(rows[index]))

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

    def _without_halves(self, candidates: _Candidates, shown: Rows, gone: Rows) -> Rows:
        """Across the antimeridian an entity may leave one half of a viewport for its other half."""
        which, rows = candidates.which, candidates.rows
        seeing = {(int(which[at]), id(self._owner[int(rows[at])])) for at in shown if self._split[rows[at]]}
        left = [at for at in gone if (int(which[at]), id(self._owner[int(rows[at])])) not in seeing]
        return np.array(left, np.intp)


class _Candidates:
    """The rows that several changes may concern, one change after the other."""

    __slots__ = ("change", "edges", "parts", "rows", "which")

    def __init__(self, rows: Rows, found: Sequence[Rows]) -> None:
        self.rows = rows
        sizes = [len(each) for each in found]
        #: For each row the number of its change.
        self.which = np.arange(len(found)).repeat(sizes)
        self.change = self.which.astype(np.uint64)
        ends = list(accumulate(sizes, initial=0))
        self.parts = [slice(begin, end) for begin, end in pairwise(ends)]
        self.edges: npt.NDArray[np.float64] | None = None


def _present(state: EntityChanged | None) -> EntityChanged | None:
    return state if state is not None and not state.deleted else None


def _same(one: Registration, other: Registration) -> bool:
    """Whether two registrations of a session want the same, from the same gateway."""
    return (
        (one.south, one.west, one.north, one.east, one.zoom, one.slot)
        == (other.south, other.west, other.north, other.east, other.zoom, other.slot)
        and one.gateway == other.gateway
        and one.user == other.user
        and one.groups == other.groups
        and one.everything == other.everything
        and one.kinds == other.kinds
        and one.filters == other.filters
    )
