"""Single values of a track file: what counts as a time, a coordinate, a heading; pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

#: Names under which tools write the columns that a position needs.
ALIASES = {
    "id": ("id", "icao24", "hex", "entity", "entity_id", "vehicle_id", "mmsi"),
    "time": ("time", "timestamp", "ts", "datetime"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "heading": ("heading", "track", "course", "bearing"),
    "kind": ("kind",),
}
REQUIRED = ("id", "time", "lat", "lon")
#: As many digits as a float holds exactly.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?")
_MILLISECONDS = 1e11  # an epoch above this (year 5138 in seconds) counts milliseconds


class BadFieldError(ValueError):
    """A value that cannot be used; its text says which and why."""


def field_names(found: list[str]) -> dict[str, str]:
    """Which of the file's names stands for which field: ours -> theirs."""
    lowered = {name.strip().lower(): name for name in reversed(found)}
    return {
        ours: lowered[alias]
        for ours, aliases in ALIASES.items()
        for alias in reversed(aliases)
        if alias in lowered
    }


def moment(value: Any) -> float:
    """Seconds since 1970, from an epoch in seconds or milliseconds, or ISO 8601 (UTC if none is given)."""
    if isinstance(value, str) and not _numeric(value):
        try:
            parsed = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadFieldError(f"time {_shown(value)} is neither an epoch nor ISO 8601") from None
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return parsed.timestamp()
    number = _number("time", value)
    return number / 1000 if abs(number) > _MILLISECONDS else number


def latitude(value: Any) -> float:
    """Degrees from -90 to 90."""
    number = _number("lat", value)
    if not -90 <= number <= 90:
        raise BadFieldError(f"lat {_shown(value)} is outside -90 to 90")
    return number


def longitude(value: Any) -> float:
    """Degrees from -180 to 180."""
    number = _number("lon", value)
    if not -180 <= number <= 180:
        raise BadFieldError(f"lon {_shown(value)} is outside -180 to 180")
    return number


def heading(value: Any) -> float | None:
    """Degrees clockwise from north, brought to 0 to 360; absent when empty."""
    if value is None or value == "":
        return None
    return _number("heading", value) % 360


def identity(value: Any) -> str:
    """A non-empty id."""
    text = "" if value is None else str(value).strip()
    if not text:
        raise BadFieldError("id is empty")
    if len(text) > 128:
        raise BadFieldError(f"id {_shown(text)} is longer than 128 characters")
    return text


def typed(text: str) -> Any:
    """A number if `text` is one and reads back the same (so `007` and `1e5` stay text), else `text`."""
    if _PLAIN_NUMBER.fullmatch(text) is None:
        return text
    return float(text) if "." in text else int(text)


def _number(name: str, value: Any) -> float:
    if value is None or value == "":
        raise BadFieldError(f"{name} is empty")
    if isinstance(value, bool):
        raise BadFieldError(f"{name} {_shown(value)} is no number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadFieldError(f"{name} {_shown(value)} is no number") from None
    if not math.isfinite(number):
        raise BadFieldError(f"{name} {_shown(value)} is not finite")
    return number


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
