"""Pure decisions about entities: who sees them, who changes them, which boxes a viewport is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apps.api.entities.schemas import AccessInput, AccessView, EntityView
from apps.contracts.access import ADMIN, may_see, sees_all
from apps.contracts.entities import Access, EntityChanged, Trace
from apps.platform.errors import FieldProblem, ForbiddenError, InvalidError, PreconditionError

if TYPE_CHECKING:
    from apps.platform.auth import Identity
    from apps.platform.telemetry import TraceContext

READ: Final = "entities:read"
WRITE: Final = "entities:write"
MAX_KINDS: Final = 50


@dataclass(frozen=True, slots=True)
class Viewport:
    """A box on the map in degrees; west above east means that it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """The one or two boxes (west, south, east, north) that don't cross it."""
        if self.west <= self.east:
            return ((self.west, self.south, self.east, self.north),)
        return (
            (self.west, self.south, 180.0, self.north),
            (-180.0, self.south, self.east, self.north),
        )


def viewport(west: float, south: float, east: float, north: float) -> Viewport:
    """Check a viewport that callers gave; every bad edge is reported."""
    edges = (("west", west, 180), ("south", south, 90), ("east", east, 180), ("north", north, 90))
    bad = [
        FieldProblem("query", name, f"must be a finite number from -{limit} to {limit}")
        # written so that NaN, which compares with nothing, is bad too
        for name, value, limit in edges
        if not -limit <= value <= limit
    ]
    if not bad and south > north:
        bad = [FieldProblem("query", "south", f"is above north ({south:g} > {north:g})")]
    if bad:
        raise InvalidError(
            "the viewport is no box: " + "; ".join(f"{item.field} {item.message}" for item in bad),
            code="viewport.invalid",
            errors=bad,
        )
    return Viewport(west, south, east, north)


def kinds(text: str | None) -> list[str] | None:
    """The kinds that a query names, comma-separated; None: all of them."""
    named = [kind for kind in (text or "").split(",") if kind]
    if len(named) > MAX_KINDS:
        raise InvalidError(
            f"{len(named)} kinds are named, at most {MAX_KINDS} may be",
            code="kinds.too_many",
            errors=[FieldProblem("query", "kinds", f"at most {MAX_KINDS}")],
        )
    return named or None


def visible(entity: EntityView, caller: Identity) -> bool:
    """Whether `caller` may know that the entity exists (the store's queries decide the same in SQL)."""
    return may_see(entity.access, caller.user, caller.groups, everything=sees_all(caller.scopes))


def require_writable(entity: EntityView, caller: Identity) -> None:
    """Raise unless `caller` owns the entity or may change everybody's."""
    if entity.access.owner != caller.user and not sees_all(caller.scopes):
        raise ForbiddenError(
            f"entity {entity.id} belongs to somebody else; its owner or the scope {ADMIN} may change it",
            code="entity.not_owner",
        )


def group_problem(access: AccessInput, caller: Identity) -> str:
    """Why `caller` can't share with that group, or nothing."""
    if access.rule == "group" and access.group not in caller.groups and not sees_all(caller.scopes):
        return f"you are no member of the group {access.group}"
    return ""


def require_group(access: AccessInput, caller: Identity) -> None:
    """Raise unless `caller` may share with that group."""
    problem = group_problem(access, caller)
    if problem:
        raise ForbiddenError(problem, code="group.not_member")


def require_version(entity: EntityView, if_match: str | None) -> None:
    """Raise unless `If-Match` (absent, `*` or a list of ETags) fits the version."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(entity.version) not in {tag.strip().removeprefix("W/") for tag in if_match.split(",")}:
        raise PreconditionError(
            f"entity {entity.id} is at version {entity.version}, and If-Match says {if_match}",
            headers={"etag": etag(entity.version)},
        )


def etag(version: int) -> str:
    """The version as an ETag."""
    return f'"{version}"'


def normalized(heading: float | None) -> float | None:
    """360 degrees is north, and so is 0."""
    return 0.0 if heading == 360 else heading


def merged(access: AccessInput, owner: str) -> AccessView:
    """The rule as stored: the owner is never the caller's to choose."""
    return AccessView(access.rule, owner, access.group)


def changed(entity: EntityView, trace: TraceContext | None, *, deleted: bool = False) -> EntityChanged:
    """The message that tells everybody else."""
    access = entity.access
    return EntityChanged(
        id=entity.id,
        version=entity.version,
        kind=entity.kind,
        lat=entity.lat,
        lon=entity.lon,
        changed_at=entity.changed_at,
        heading=entity.heading,
        attributes=entity.attributes,
        access=Access(rule=access.rule, owner=access.owner, group=access.group),
        deleted=deleted,
        trace=trace_of(trace),
    )


def trace_of(trace: TraceContext | None) -> Trace:
    """The trace as messages carry it."""
    return Trace() if trace is None else Trace(trace.traceparent, trace.correlation_id)
