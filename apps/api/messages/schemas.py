"""What the message routes read."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Name = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}\Z", description="e.g. notification, job.progress")
]
Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@/-]{1,128}\Z", description="letters, digits and ._:@/-")]


class Conflate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of messages with the same key only the newest counts; one with a lower sequence comes too late."""

    key: Key
    sequence: Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)] = 0


class MessageInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message: what it is called, and any JSON of at most 16 KiB."""

    name: Name
    data: Any = None
    conflate: Conflate | None = None
