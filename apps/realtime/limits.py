"""Pure bounds of one connection: how fast it may talk, and whether it still lives."""

from __future__ import annotations


class Bucket:
    """A token bucket: `burst` at once, `rate` a second after that."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Spend one token; False when there is none."""
        # a clock that seems to run backwards gives nothing and takes nothing
        self._tokens = min(self._burst, self._tokens + max(now - self._at, 0.0) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Heartbeat:
    """Pings a silent client; two unanswered pings end the connection."""

    __slots__ = ("_heard_at", "_interval", "_pinged_at", "missed")

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._heard_at = self._pinged_at = now
        self.missed = 0

    def heard(self, now: float) -> None:
        """Any frame of the client is a sign of life."""
        self._heard_at = now
        self.missed = 0

    def due(self, now: float) -> bool:
        """Whether to ping now; counts the pings nobody answered."""
        if now - self._pinged_at < self._interval:
            return False
        if self._heard_at < self._pinged_at:
            self.missed += 1
        self._pinged_at = now
        return True
