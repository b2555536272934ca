"""What a process says of itself: starting, ready, busy, draining or failed; and the routes that tell it."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.handlers import HTTPRouteHandler

log = Log("slipway.health")

#: A dependency's answer is reused this long: probes come from the load balancer, the container and people.
CHECK_REUSE_SECONDS: Final = 2.0
CHECK_TIMEOUT_SECONDS: Final = 2.0


class State(StrEnum):
    """The five answers; an operator reacts differently to each."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    FAILED = "failed"


#: From a state only these may follow: a process that drains or failed never claims to be ready again.
_NEXT: Final[dict[State, frozenset[State]]] = {
    State.STARTING: frozenset({State.READY, State.DRAINING, State.FAILED}),
    State.READY: frozenset({State.BUSY, State.DRAINING, State.FAILED}),
    State.BUSY: frozenset({State.READY, State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.FAILED}),
    State.FAILED: frozenset(),
}


class Health:
    """One per process; the lifecycle moves it, the routes read it."""

    def __init__(self) -> None:
        self.state = State.STARTING
        self.reason = ""
        self._since = time.monotonic()
        self._checks: dict[str, Callable[[], Awaitable[object]]] = {}
        self._answers: dict[str, str] = {}
        self._answered_at = -CHECK_REUSE_SECONDS
        self._lock = asyncio.Lock()

    def to(self, state: State, reason: str = "") -> None:
        """Move to `state`; a move that would hide draining or failure is ignored."""
        if state is self.state or state not in _NEXT[self.state]:
            return
        log.info("health.changed", before=self.state.value, now=state.value, reason=reason)
        self.state, self.reason, self._since = state, reason, time.monotonic()

    def require(self, name: str, check: Callable[[], Awaitable[object]]) -> None:
        """Add a dependency without which this process is not ready; `check` raises when it is away."""
        self._checks[name] = check

    def live(self) -> tuple[int, dict[str, Any]]:
        """Liveness: only a failed process should be replaced."""
        return (503 if self.state is State.FAILED else 200), self._body()

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Readiness: whether new work should come here now."""
        body = self._body()
        if self.state is not State.READY:
            return 503, body
        answers = await self._ask()
        if answers:
            body["dependencies"] = answers
        return (200 if all(answer == "ok" for answer in answers.values()) else 503), body

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "status": self.state.value,
            "seconds": round(time.monotonic() - self._since, 1),
        }
        if self.reason:
            body["reason"] = self.reason
        return body

    async def _ask(self) -> dict[str, str]:
        async with self._lock:
            if time.monotonic() - self._answered_at >= CHECK_REUSE_SECONDS:
                names = list(self._checks)
                answers = await asyncio.gather(*(self._one(name) for name in names))
                self._answers = dict(zip(names, answers, strict=True))
                self._answered_at = time.monotonic()
            return dict(self._answers)

    async def _one(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001  # whatever a client library raises, the dependency is away
            log.warning("health.dependency_away", dependency=name, error=f"{type(error).__name__}: {error}")
            return f"away: {type(error).__name__}"
        return "ok"


def routes(health: Health) -> list[HTTPRouteHandler]:
    """`/health` for the container's check, `/ready` for load balancers; both outside authentication."""
    away = {503: ResponseSpec(dict[str, Any], description="Not so", generate_examples=False)}
    # an empty requirement: no token is needed, whatever the document asks for elsewhere
    public: dict[str, Any] = {"opt": {"public": True}, "security": [{}], "responses": away}

    @get("/health", sync_to_thread=False, summary="Liveness", **public)
    def live() -> Response[dict[str, Any]]:
        status, body = health.live()
        return Response(body, status_code=status, headers={"cache-control": "no-store"})

    @get("/ready", summary="Readiness", **public)
    async def ready() -> Response[dict[str, Any]]:
        status, body = await health.ready()
        return Response(body, status_code=status, headers={"cache-control": "no-store"})

    return [live, ready]
