"""The base of every config model: frozen, no unknown keys, no I/O."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Pure data: sizes, ranges and flags; never an Output and never a look at the world."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=False)
