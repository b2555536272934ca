"""Edges in single precision that never miss a point: four numbers of a box, four of a point, one comparison.

South and west are negated: then a point is inside where every edge is at least the point's number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from apps.contracts.views import Box

    Edges = npt.NDArray[np.float32]

_UP: Final = np.float32(np.inf)
_DOWN: Final = np.float32(-np.inf)
#: Edges of nothing: no point is inside.
NOWHERE: Final = np.float32(-np.inf)


def edges_around(boxes: Sequence[Box]) -> Edges:
    """Return the edges of a box that holds all of `boxes`, rounded outwards by a step."""
    if len(boxes) == 1:
        south, west, north, east = boxes[0]
    else:
        south, west = min(box[0] for box in boxes), min(box[1] for box in boxes)
        north, east = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return np.nextafter(np.array((-south, -west, north, east), np.float32), _UP)


def edges_needed(points: Sequence[tuple[float, float]]) -> Edges:
    """Return what edges must at least be to hold one of `points` (and perhaps more), as a column."""
    if len(points) == 1:
        lat, lon = points[0]
        needed = (-lat, -lon, lat, lon)
    else:
        (lat, lon), (lat_2, lon_2) = points
        needed = (-max(lat, lat_2), -max(lon, lon_2), min(lat, lat_2), min(lon, lon_2))
    return np.nextafter(np.array(needed, np.float32), _DOWN)[:, None]
