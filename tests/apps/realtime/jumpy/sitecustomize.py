"""On PYTHONPATH of a process: its wall clock is off by the seconds in the file that CLOCK_FILE names, as they change."""

from __future__ import annotations

import datetime as dt
import mmap
import os
import struct
import time
from pathlib import Path

_time, _time_ns = time.time, time.time_ns
with Path(os.environ["CLOCK_FILE"]).open("r+b") as _file:
    _offset = mmap.mmap(_file.fileno(), 8)


def offset() -> float:
    """By how much the clock is off now."""
    return struct.unpack("d", _offset[:8])[0]


class Datetime(dt.datetime):
    """PyJWT asks this one for the time."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
        """The time by the clock that is off."""
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + offset()
time.time_ns = lambda: _time_ns() + int(offset() * 1e9)
dt.datetime = Datetime
