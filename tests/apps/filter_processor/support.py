"""Builders of registrations and changes, and the plain oracle the matcher is measured against."""

from __future__ import annotations

from typing import Any

from apps.contracts.access import may_see
from apps.contracts.bus import Registration, unpack_slots
from apps.contracts.entities import Access, EntityChanged
from apps.contracts.filters import matches_any
from apps.contracts.views import KindRules, boxes
from apps.filter_processor.gateways import Hit


def registration(session: str = "s", slot: int = 1, rev: int = 1, **more: Any) -> Registration:
    """A viewport of the whole world unless told otherwise."""
    values: dict[str, Any] = {
        "gateway": "g1",
        "user": "ann",
        "groups": (),
        "south": -90.0,
        "west": -180.0,
        "north": 90.0,
        "east": 180.0,
        "zoom": 5.0,
        "ttl_ms": 30_000,
        **more,
    }
    return Registration(session=session, slot=slot, rev=rev, **values)


def change(
    entity_id: str = "e", version: int = 1, lat: float = 0.0, lon: float = 0.0, **more: Any
) -> EntityChanged:
    """A committed change."""
    values: dict[str, Any] = {
        "kind": "aircraft",
        "changed_at": 0,
        "access": Access("public", "owner"),
        **more,
    }
    return EntityChanged(id=entity_id, version=version, lat=lat, lon=lon, **values)


def sees(wanted: Registration, state: EntityChanged | None, rules: KindRules | None = None) -> bool:
    """The specification of matching, in plain double precision and without any index."""
    if state is None or state.deleted:
        return False
    rules = rules or KindRules()
    rule = rules.of(state.kind)
    margin = rules.margins[rule.margin]
    return (
        wanted.zoom >= rule.min_zoom
        and any(
            box.south <= state.lat <= box.north and box.west <= state.lon <= box.east
            for box in boxes(wanted.south, wanted.west, wanted.north, wanted.east, margin)
        )
        and (not wanted.kinds or state.kind in wanted.kinds)
        and may_see(state.access, wanted.user, wanted.groups, everything=wanted.everything)
        and matches_any(wanted.filters, state.kind, state.attributes)
    )


def slots(hits: list[Hit]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Who is shown and who loses a change, as (gateway, slot); a slot twice in one list is an error."""
    shown, gone = [], []
    for hit in hits:
        shown += [(hit.gateway, slot) for slot in unpack_slots(hit.shown)]
        gone += [(hit.gateway, slot) for slot in unpack_slots(hit.gone)]
    assert len(shown) == len(set(shown)), "a session is shown a change twice"
    assert len(gone) == len(set(gone)), "a session loses an entity twice"
    return set(shown), set(gone)
