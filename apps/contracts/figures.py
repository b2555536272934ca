"""The newest figures of every process, kept in Redis for whoever shows them; nothing depends on them.

A process writes its own key each few seconds, with an expiry, and its name into one sorted set by time.
The hash tag keeps all of them in one cluster slot.
"""

from __future__ import annotations

from typing import Final

import msgspec

#: How often a process writes, and how long what it wrote is worth showing.
FIGURES_SECONDS: Final = 3.0
FIGURES_TTL_SECONDS: Final = 12.0
#: Sorted set of `service:instance` by the time of the newest sample (milliseconds since the epoch).
FIGURES_KEY: Final = "{figures}:live"


def figures_key(member: str) -> str:
    """Key of one process's encoded `Sample`; `member` is `service:instance`."""
    return f"{{figures}}:{member}"


class Spread(msgspec.Struct, frozen=True):
    """A distribution in milliseconds."""

    p50: float
    p99: float
    count: int


class Sample(msgspec.Struct, frozen=True):
    """What one process did during the last seconds; the names are those of `apps.contracts.metrics`."""

    service: str
    instance: str
    at: int
    figures: dict[str, float | Spread]
    v: int = 1


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sample)


def encode(sample: Sample) -> bytes:
    """Encode a sample."""
    return _encoder.encode(sample)


def decode(data: bytes) -> Sample:
    """Decode a sample; raises `msgspec.MsgspecError`."""
    return _decoder.decode(data)
