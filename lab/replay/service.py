"""One replay from start to end: every file played on its clock, one sender, clean at Ctrl-C."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lab.replay.buffer import Counts
from lab.replay.player import Event, Player, Vanish
from lab.replay.recording import Recording
from lab.replay.sender import Sender, TokenSource

TICK_SECONDS = 0.25
REPORT_SECONDS = 5.0
#: The built-in recordings are thin (23 aircraft on average over Switzerland): folded, 168 at least are up.
FOLDS = {"switzerland": 7200.0, "paris": 3600.0}


@dataclass(frozen=True)
class Plan:
    """What is played and how; `fold` of None lets each recording have its own of FOLDS, 0 forbids it."""

    recordings: tuple[Recording, ...]
    speed: float = 1.0
    loop: bool = False
    fold: float | None = None
    start: float | None = None

    def players(self) -> list[Player]:
        """One player per recording, all on the same clock."""
        return [
            Player(
                recording,
                speed=self.speed,
                loop=self.loop,
                fold=_fold(recording, self.fold),
                start=self.start,
            )
            for recording in self.recordings
        ]


def _fold(recording: Recording, wish: float | None) -> float | None:
    if wish is None:
        return FOLDS.get(recording.name) if recording.built_in else None
    return wish or None


@dataclass
class Status:
    """How a replay goes, for its status line and its end."""

    counts: Counts
    alive: int
    waiting: int
    trouble: str
    reasons: dict[str, int]
    left: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """In words."""
        counts = self.counts
        parts = [
            f"{self.alive} on the map",
            f"{counts.accepted:,} accepted",
            f"{counts.deleted:,} ended",
            f"{counts.rejected:,} rejected",
        ]
        rest = {"late": counts.late, "overtaken": counts.overtaken, "dropped": counts.dropped}
        parts.extend(f"{value:,} {name}" for name, value in rest.items() if value)
        if self.trouble:
            parts.append(f"waiting: {self.trouble}")
        return ", ".join(parts)


async def replay(
    plan: Plan,
    url: str,
    token: TokenSource,
    *,
    stop: asyncio.Event,
    report: Callable[[Status], None] | None = None,
) -> Status:
    """Play until the end, or until `stop` is set; then what is still on the map is deleted."""
    players = await asyncio.to_thread(plan.players)
    started = reported = time.monotonic()
    async with Sender(url, token) as sender:
        await sender.check()
        known = await sender.adopt({name for player in players for name in player.everything()})
        try:
            shown: list[Event] = [event for player in players for event in player.due(0.0)]
            sender.put([*shown, *(Vanish(name) for name in sorted(known - {event.id for event in shown}))])
            while not stop.is_set():
                elapsed = time.monotonic() - started
                for player in players:
                    sender.put(player.due(elapsed))
                await _unless(stop, sender.flush())
                if report is not None and time.monotonic() - reported >= REPORT_SECONDS:
                    reported = time.monotonic()
                    report(_status(sender, started))
                if all(player.finished for player in players) and not sender.waiting:
                    break
                await _unless(stop, asyncio.sleep(TICK_SECONDS))
        finally:
            left = await sender.clear()
        status = _status(sender, started)
        status.left = left
        return status


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, but no longer than until `stop`: a back-off must not hold up Ctrl-C."""
    doing = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not doing.done():
        doing.cancel()
    try:
        await doing
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


def _status(sender: Sender, started: float) -> Status:
    return Status(
        counts=sender.counts,
        alive=sender.alive,
        waiting=sender.waiting,
        trouble=sender.trouble,
        reasons=dict(sender.reasons),
        seconds=time.monotonic() - started,
    )
