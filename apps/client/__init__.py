"""Clients of the realtime tier: Python here, JavaScript in `js/`; both do what the shared scenarios say."""

from __future__ import annotations

from apps.client.live import Change, Live, SignedOutError, connect
from apps.client.store import Changes, Entity
from apps.client.surroundings import Detail

__all__ = ["Change", "Changes", "Detail", "Entity", "Live", "SignedOutError", "connect"]
