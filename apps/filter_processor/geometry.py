"""Boxes in single precision that never miss a point, with the exact box beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from apps.contracts.bus import Registration

#: south, west, north, east in double precision; `west <= east` always.
Box = tuple[float, float, float, float]

_UP: Final = np.float32(np.inf)
_DOWN: Final = np.float32(-np.inf)


def below(value: float) -> np.float32:
    """Return the largest single-precision number that is not above `value`."""
    near = np.float32(value)
    return near if float(near) <= value else np.nextafter(near, _DOWN)


def above(value: float) -> np.float32:
    """Return the smallest single-precision number that is not below `value`."""
    near = np.float32(value)
    return near if float(near) >= value else np.nextafter(near, _UP)


def boxes_of(registration: Registration) -> tuple[Box, ...]:
    """Return the boxes of a viewport: two when it crosses the antimeridian."""
    south, west, north, east = (
        registration.south,
        registration.west,
        registration.north,
        registration.east,
    )
    if west <= east:
        return ((south, west, north, east),)
    return ((south, west, north, 180.0), (south, -180.0, north, east))
