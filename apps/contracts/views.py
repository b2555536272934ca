"""What a view takes in beyond its box: least zoom and margin per kind, for snapshots and changes alike.

The gateway reads a snapshot with `KindRules.parts`, the filter processor matches with `boxes`: both compute
the same numbers in the same order, so that they agree to the last bit; a test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The rule of every kind that has none of its own.
ANY_KIND: Final = "*"
#: A box that leaves less than this of a parallel is the whole of it: rounding must not turn it inside out.
_GAP_DEGREES: Final = 1e-9


class Rule(Protocol):
    """When an entity of a kind is shown, as set or stored."""

    @property
    def min_zoom(self) -> float:
        """Views below this zoom do not get the kind."""
        ...

    @property
    def margin_degrees(self) -> float:
        """A view is grown by so much on every side."""
        ...

    @property
    def margin_fraction(self) -> float:
        """And by this part of its height or width."""
        ...


class Margin(NamedTuple):
    """How far a view is grown on every side: degrees, and a part of its own size."""

    degrees: float = 0.0
    fraction: float = 0.0


class KindRule(NamedTuple):
    """A rule, resolved: `margin` is a number of `KindRules.margins`."""

    min_zoom: float
    margin: int


class Box(NamedTuple):
    """An area that crosses no antimeridian; edges belong to it."""

    south: float
    west: float
    north: float
    east: float


class Part(NamedTuple):
    """A box of a view and the kinds it is searched for: `kinds` (None: all) less `without`."""

    box: Box
    kinds: tuple[str, ...] | None
    without: tuple[str, ...]


class KindRules:
    """The rules of all kinds; those without a rule follow `*`, and without that every view shows them."""

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        self.margins: list[Margin] = []
        self._named: dict[str, KindRule] = {}
        self._other = self._resolved((rules or {}).get(ANY_KIND))
        for kind, rule in (rules or {}).items():
            if kind != ANY_KIND:
                self._named[kind] = self._resolved(rule)

    def _resolved(self, rule: Rule | None) -> KindRule:
        margin = Margin() if rule is None else Margin(rule.margin_degrees, rule.margin_fraction)
        if margin not in self.margins:
            self.margins.append(margin)
        return KindRule(0.0 if rule is None else rule.min_zoom, self.margins.index(margin))

    def of(self, kind: str) -> KindRule:
        """Return the rule that a kind follows."""
        return self._named.get(kind, self._other)

    def parts(
        self, south: float, west: float, north: float, east: float, zoom: float, kinds: Iterable[str]
    ) -> list[Part]:
        """Divide a view by margin: together the parts are what it shows, and no entity is in two."""
        wanted = tuple(kinds)
        by_margin: dict[int, list[str]] = {}
        for kind in wanted or self._named:
            rule = self.of(kind)
            if rule.min_zoom <= zoom:
                by_margin.setdefault(rule.margin, []).append(kind)
        found = [
            Part(box, tuple(named), ())
            for margin, named in by_margin.items()
            for box in boxes(south, west, north, east, self.margins[margin])
        ]
        if not wanted and self._other.min_zoom <= zoom:
            found += [
                Part(box, None, tuple(self._named))
                for box in boxes(south, west, north, east, self.margins[self._other.margin])
            ]
        return found


def boxes(south: float, west: float, north: float, east: float, margin: Margin) -> tuple[Box, ...]:
    """Return a view grown by a margin: two boxes where it crosses the antimeridian (`west > east`)."""
    width = east - west if west <= east else east - west + 360.0
    if margin.degrees or margin.fraction:
        up = margin.degrees + margin.fraction * (north - south)
        aside = margin.degrees + margin.fraction * width
        south, north = max(south - up, -90.0), min(north + up, 90.0)
        if width + 2 * aside >= 360.0 - _GAP_DEGREES:
            west, east = -180.0, 180.0
        else:
            west, east = _wrapped(west - aside), _wrapped(east + aside)
    if west <= east:
        return (Box(south, west, north, east),)
    return (Box(south, west, north, 180.0), Box(south, -180.0, north, east))


def _wrapped(lon: float) -> float:
    if lon < -180.0:
        return lon + 360.0
    return lon - 360.0 if lon > 180.0 else lon
