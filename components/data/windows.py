"""Backup and maintenance windows in AWS's own notation, in UTC."""

from __future__ import annotations

from typing import Final

_TIME: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_DAY: Final = "(?:mon|tue|wed|thu|fri|sat|sun)"
DAILY: Final = rf"^{_TIME}-{_TIME}$"
WEEKLY: Final = rf"^{_DAY}:{_TIME}-{_DAY}:{_TIME}$"

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60
_WEEK_MINUTES: Final = 7 * _DAY_MINUTES


def overlap(daily: str, weekly: str) -> bool:
    """Whether a daily window and a weekly one share a minute; both may run past midnight."""
    start, end = (_minute(clock) for clock in daily.split("-"))
    length = (end - start) % _DAY_MINUTES or _DAY_MINUTES
    week_start, week_end = (
        _DAYS.index(moment[:3]) * _DAY_MINUTES + _minute(moment[4:]) for moment in weekly.split("-")
    )
    week_length = (week_end - week_start) % _WEEK_MINUTES or _WEEK_MINUTES
    return any(
        _meet(day * _DAY_MINUTES + start + shift, length, week_start, week_length)
        for day in range(7)
        for shift in (-_WEEK_MINUTES, 0, _WEEK_MINUTES)
    )


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _meet(start: int, length: int, other: int, other_length: int) -> bool:
    return start < other + other_length and other < start + length
