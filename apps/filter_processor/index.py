"""Which rows may hold a point: a scan over all edges, and above many rows a grid of small scans.

Both answer with a superset, in single precision rounded outwards; the matcher decides exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from math import floor
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from apps.filter_processor.geometry import NOWHERE, edges_needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from apps.filter_processor.geometry import Edges

    Rows = npt.NDArray[np.intp]
    Points = Sequence[tuple[float, float]]

_NOTHING: Final = np.empty(0, np.intp)
#: Above this many degrees a move is scanned as two points, below as the one box around them.
_FAR_DEGREES: Final = 1.0
_FIRST_ROWS: Final = 1024
_CELL_ROWS: Final = 8
_WORD: Final = 8
#: Cell sizes in degrees. A row is in the smallest cells that are no smaller than its box, so in four at most;
#: what is larger than all is in the one cell of `_WIDE`: a map of the world fills no cells.
SIZES: Final = (0.02, 0.08, 0.32, 1.28, 5.12, 20.48)
_WIDE: Final = len(SIZES)
_LINE: Final = 1 << 20
_MIDDLE: Final = 1 << 19


class Block:
    """Edges side by side, compared at once; columns that are not used hold nothing."""

    __slots__ = ("_cut", "_width", "edges")

    def __init__(self, capacity: int) -> None:
        self.edges: Edges = np.full((4, -(-capacity // _WORD) * _WORD), NOWHERE, np.float32)
        self._width = -1

    @property
    def capacity(self) -> int:
        """How many rows fit."""
        return self.edges.shape[1]

    def grow(self) -> None:
        """Make room for twice as many."""
        old = self.edges
        self.__init__(2 * self.capacity)
        self.edges[:, : old.shape[1]] = old

    def holding(self, needed: Edges, used: int) -> Rows:
        """Return the columns below `used` whose edges are at least what is needed."""
        if not self._width - _WORD < used <= self._width:
            self._cut_to(-(-used // _WORD) * _WORD)
        edges, inside, (south, west, north, east), mask = self._cut
        np.greater_equal(edges, needed, out=inside)
        # eight flags at once
        np.bitwise_and(south, west, out=south)
        np.bitwise_and(north, east, out=north)
        np.bitwise_and(south, north, out=south)
        return mask.nonzero()[0]

    def _cut_to(self, width: int) -> None:
        """Prepare what `holding` needs: it is called far more often than rows come and go."""
        inside = np.empty((4, width), np.bool_)
        lines = inside.view(np.uint64)
        self._cut = self.edges[:, :width], inside, (lines[0], lines[1], lines[2], lines[3]), inside[0]
        self._width = width


class Scan:
    """All rows in one block: nothing is cheaper up to tens of thousands, and a move is four numbers."""

    def __init__(self) -> None:
        self._block = Block(_FIRST_ROWS)
        self.used = 0

    @property
    def edges(self) -> Edges:
        """The edges of all rows, by row; those of free rows hold nothing."""
        return self._block.edges[:, : self.used]

    def put(self, row: int, edges: Edges) -> None:
        """Set a row's edges."""
        if row >= self._block.capacity:
            self._block.grow()
        self.used = max(self.used, row + 1)
        self._block.edges[:, row] = edges

    def take(self, row: int) -> None:
        """Empty a row."""
        self._block.edges[:, row] = NOWHERE

    def near(self, points: Points) -> Rows:
        """Return rows that may hold one of `points` (one or two)."""
        if len(points) == 1 or _close(points):
            return self._block.holding(edges_needed(points), self.used)
        one, other = (self._block.holding(edges_needed((point,)), self.used) for point in points)
        return np.union1d(one, other)


class _Cell:
    """The rows that touch one cell, in any order, with a copy of their edges."""

    __slots__ = ("block", "rows", "used")

    def __init__(self, rows: Rows, edges: Edges) -> None:
        self.used = len(rows)
        self.block = Block(max(_CELL_ROWS, self.used + self.used // 4))
        self.rows: Rows = np.empty(self.block.capacity, np.intp)
        self.rows[: self.used] = rows
        self.block.edges[:, : self.used] = edges

    def put(self, row: int, edges: Edges) -> None:
        if self.used == len(self.rows):
            self.block.grow()
            self.rows = np.concatenate((self.rows, np.empty_like(self.rows)))
        self.rows[self.used] = row
        self.block.edges[:, self.used] = edges
        self.used += 1

    def take(self, row: int) -> None:
        place = int((self.rows[: self.used] == row).nonzero()[0][0])
        self.used -= 1
        self.rows[place] = self.rows[self.used]
        self.block.edges[:, place] = self.block.edges[:, self.used]
        self.block.edges[:, self.used] = NOWHERE


class Grid:
    """Cells of several sizes: a point is in one cell of each size, and only those are scanned."""

    def __init__(self, edges: Edges) -> None:
        """Build from the edges of all rows."""
        self._levels: list[dict[int, _Cell]] = [{} for _ in range(_WIDE + 1)]
        rows = (edges[2] != NOWHERE).nonzero()[0]
        kept = edges[:, rows].astype(np.float64)
        size = np.maximum(kept[2] + kept[0], kept[3] + kept[1])
        levels = cast("Rows", np.searchsorted(np.array(SIZES), size))
        for level in np.unique(levels):
            here = (levels == level).nonzero()[0]
            self._fill(int(level), rows[here], edges[:, rows[here]])

    def _fill(self, level: int, rows: Rows, edges: Edges) -> None:
        if level == _WIDE:
            self._levels[level][0] = _Cell(rows, edges)
            return
        low_y, low_x, high_y, high_x = (
            np.floor(line.astype(np.float64) / SIZES[level]).astype(np.int64)
            for line in (-edges[0], -edges[1], edges[2], edges[3])
        )
        keys: list[Rows] = []
        members: list[Rows] = []
        for up in range(int((high_y - low_y).max()) + 1):
            for aside in range(int((high_x - low_x).max()) + 1):
                here = ((low_y + up <= high_y) & (low_x + aside <= high_x)).nonzero()[0]
                keys.append((low_y[here] + up + _MIDDLE) * _LINE + low_x[here] + aside + _MIDDLE)
                members.append(here)
        key, member = np.concatenate(keys), np.concatenate(members)
        order = key.argsort(kind="stable")
        key, member = key[order], member[order]
        starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(key)], strict=True):
            here = member[start:end]
            self._levels[level][int(key[start])] = _Cell(rows[here], edges[:, here])

    def put(self, row: int, edges: Edges) -> None:
        """Enter a row into the cells its box touches."""
        level, keys = _cells_of(edges)
        cells = self._levels[level]
        for key in keys:
            cell = cells.get(key)
            if cell is None:
                cells[key] = _Cell(np.array((row,), np.intp), edges[:, None])
            else:
                cell.put(row, edges)

    def take(self, row: int, edges: Edges) -> None:
        """Take a row out; `edges` are those it was put with."""
        level, keys = _cells_of(edges)
        cells = self._levels[level]
        for key in keys:
            cell = cells[key]
            cell.take(row)
            if not cell.used:
                del cells[key]

    def near(self, points: Points) -> Rows:
        """Return rows that may hold one of `points` (one or two)."""
        needed = edges_needed(points) if len(points) == 1 or _close(points) else None
        found: list[Rows] = []
        twice = False
        for level, cells in enumerate(self._levels):
            if not cells:
                continue
            keys = {_key(level, lat, lon) for lat, lon in points}
            twice = twice or len(keys) > 1
            for key in keys:
                cell = cells.get(key)
                if cell is not None:
                    found += _holding(cell, needed, points)
                    twice = twice or needed is None
        if not found:
            return _NOTHING
        if len(found) == 1:
            return found[0]
        rows: Rows = np.concatenate(found)
        return np.unique(rows) if twice else rows

    @property
    def entries(self) -> int:
        """How many rows all cells hold together: a row is in up to four."""
        return sum(cell.used for cells in self._levels for cell in cells.values())


def _holding(cell: _Cell, needed: Edges | None, points: Points) -> Iterator[Rows]:
    for each in (needed,) if needed is not None else (edges_needed((point,)) for point in points):
        rows = cell.rows.take(cell.block.holding(each, cell.used))
        if rows.size:
            yield rows


def _close(points: Points) -> bool:
    (lat, lon), (lat_2, lon_2) = points
    return abs(lat - lat_2) + abs(lon - lon_2) <= _FAR_DEGREES


def _key(level: int, lat: float, lon: float) -> int:
    if level == _WIDE:
        return 0
    size = SIZES[level]
    return (floor(lat / size) + _MIDDLE) * _LINE + floor(lon / size) + _MIDDLE


def _cells_of(edges: Edges) -> tuple[int, list[int]]:
    """Return the level of a box and the keys of the cells that it touches."""
    minus_south, minus_west, north, east = edges.tolist()
    size = max(north + minus_south, east + minus_west)
    level = bisect_left(SIZES, size)
    if level == _WIDE:
        return _WIDE, [0]
    cell = SIZES[level]
    columns = range(floor(-minus_west / cell), floor(east / cell) + 1)
    return level, [
        (y + _MIDDLE) * _LINE + x + _MIDDLE
        for y in range(floor(-minus_south / cell), floor(north / cell) + 1)
        for x in columns
    ]
