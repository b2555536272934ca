"""Sends what is due through the public API: in batches, with back-off, each answer counted."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from lab.errors import LabError
from lab.replay.buffer import Buffer, Counts
from lab.replay.player import Event, Move, Vanish

MAX_BATCH = 1000  # the API's own bound
LATE_SECONDS = 2.0
_DELETES_AT_ONCE = 8
_MOST_ADOPTED = 5000  # the API's own bound of a snapshot
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

TokenSource = Callable[[], Awaitable[str]]


class _AgainError(Exception):
    """The API could not take it now; `after` is the pause it asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Sender:
    """One connection pool to one API, for one token."""

    def __init__(self, url: str, token: TokenSource, *, limit: int | None = None) -> None:
        self.counts = Counts()
        self.reasons: Counter[str] = Counter()  # why entities were rejected; bounded by _refused
        self.trouble = ""  # what holds the sender up now, for the status line
        self._buffer = Buffer(self.counts, limit) if limit else Buffer(self.counts)
        self._url = url.rstrip("/")
        self._token_source = token
        self._token = ""
        self._user = ""
        self._pause = 0.0
        self._alive: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15, connect=5))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    @property
    def alive(self) -> int:
        """How many entities are on the map through this sender."""
        return len(self._alive)

    @property
    def waiting(self) -> int:
        """How many entities wait to be sent."""
        return len(self._buffer)

    def put(self, events: list[Event]) -> None:
        """Queue what is due; never blocks."""
        self._buffer.put(events, time.monotonic())

    async def flush(self) -> None:
        """Send all that waits, or as much as the API takes now; pauses as it asks before the next try."""
        while True:
            moves = self._buffer.moves(MAX_BATCH)
            gone = [] if moves else self._buffer.vanishings(MAX_BATCH)
            if not moves and not gone:
                return
            try:
                if moves:
                    await self._send(moves)
                else:
                    await self._delete(gone)
            except _AgainError as busy:
                await self._back_off(busy)
                return
            except BaseException:
                self._buffer.back([*moves, *gone])
                raise
            self._pause = 0.0
            self.trouble = ""

    async def check(self) -> None:
        """Ask who we are: an API that is not there or a wrong token shows before anything is sent."""
        try:
            status, answer = await self._call("GET", "/v1/me", None)
        except _AgainError as error:
            raise LabError(
                f"no API answers at {self._url}",
                cause=str(error),
                hint="start the local stack with `slipway up`, or name another API with --url",
                code="no-api",
            ) from error
        if status != 200:
            raise LabError(
                f"{self._url} is no API that takes entities",
                cause=f"GET /v1/me answered {_problem(status, answer)}",
                hint="name the API's address with --url, without /v1",
                code="no-api",
            )
        self._user = str(answer.get("user") or "")

    async def adopt(self, names: set[str]) -> set[str]:
        """Which of `names` an earlier replay of this user left behind (it was killed): they are ours now."""
        query = f"west=-180&south=-90&east=180&north=90&limit={_MOST_ADOPTED}"
        try:
            status, answer = await self._call("GET", f"/v1/entities?{query}", None)
        except _AgainError:
            return set()  # nothing depends on it: what was left moves on with its own track
        found = cast("list[dict[str, Any]]", answer.get("entities") or []) if status == 200 else []
        left = {
            str(one.get("id"))
            for one in found
            if one.get("id") in names
            and cast("dict[str, Any]", one.get("access") or {}).get("owner") == self._user
        }
        self._alive |= left
        return left

    async def clear(self, seconds: float = 8.0) -> int:
        """Delete what this sender made and still lives; returns how many are left when time is up."""
        self._buffer = Buffer(self.counts)
        self._buffer.put([Vanish(name) for name in sorted(self._alive)], time.monotonic())
        deadline = time.monotonic() + seconds
        while self._alive and time.monotonic() < deadline:
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0.1)):
                    await self.flush()
            except TimeoutError:
                break
        return len(self._alive)

    async def _send(self, batch: list[tuple[Move, float]]) -> None:
        try:
            status, answer = await self._call(
                "POST", "/v1/entities/bulk", {"entities": [_body(m) for m, _ in batch]}
            )
        except _AgainError:
            self._buffer.back(batch)
            raise
        self.counts.sent += len(batch)
        self.counts.late += sum(time.monotonic() - since > LATE_SECONDS for _, since in batch)
        if status != 200:
            self.counts.rejected += len(batch)
            self._refused(_problem(status, answer), len(batch))
            return
        rejected = cast("list[dict[str, Any]]", answer.get("rejected") or [])
        refused = {int(one.get("index", -1)) for one in rejected}
        for one in rejected:
            self._refused(_words(one.get("error")), 1)
        self.counts.rejected += len(rejected)
        self.counts.accepted += int(answer.get("accepted", len(batch) - len(rejected)))
        self._alive.update(move.id for index, (move, _) in enumerate(batch) if index not in refused)

    async def _delete(self, batch: list[tuple[Vanish, float]]) -> None:
        left = dict(enumerate(batch))
        gate = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def one(index: int, name: str) -> None:
            async with gate:
                status, answer = await self._call("DELETE", f"/v1/entities/{name}", None)
            del left[index]
            self.counts.sent += 1
            self._alive.discard(name)
            if status < 300 or status in {404, 410}:
                self.counts.deleted += 1
            else:
                self.counts.rejected += 1
                self._refused(_problem(status, answer), 1)

        tasks = [asyncio.ensure_future(one(index, gone.id)) for index, (gone, _) in left.items()]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        self._buffer.back(left.values())
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _call(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        for fresh in (False, True):
            if fresh or not self._token:
                self._token = await self._token_source()
            status, answer = await self._once(method, path, body)
            if status != 401:
                return status, answer
        raise LabError(
            f"{self._url} does not accept the token",
            cause=_problem(401, answer),
            hint="give a fresh one with --token; `slipway token` prints one for the local stack",
            code="token",
        )

    async def _once(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            raise RuntimeError("the sender is not open")
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            async with self._session.request(method, self._url + path, json=body, headers=headers) as reply:
                if reply.status in _BUSY:
                    raise _AgainError(f"{method} {path} answered {reply.status}", _retry_after(reply))
                return reply.status, await _json(reply)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _AgainError(str(error) or type(error).__name__) from error

    async def _back_off(self, busy: _AgainError) -> None:
        self.counts.retries += 1
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        self.trouble = str(busy)
        jittered = self._pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret depends on it
        await asyncio.sleep(min(max(jittered, busy.after or 0.0), 60.0))

    def _refused(self, reason: str, count: int) -> None:
        known = reason in self.reasons or len(self.reasons) < 20
        self.reasons[reason if known else "other reasons"] += count


def _body(move: Move) -> dict[str, Any]:
    body: dict[str, Any] = {"id": move.id, "kind": move.kind, "lat": move.lat, "lon": move.lon}
    if move.heading is not None:
        body["heading"] = move.heading
    body["attributes"] = move.attributes
    return body


async def _json(reply: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        found: object = await reply.json(content_type=None)
    except ValueError:
        return {"detail": (await reply.text())[:200]}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _retry_after(reply: aiohttp.ClientResponse) -> float | None:
    try:
        return float(reply.headers.get("retry-after", ""))
    except ValueError:
        return None


def _problem(status: int, answer: dict[str, Any]) -> str:
    said = answer.get("detail") or answer.get("title") or ""
    return f"{status} {said}".strip()


def _words(error: Any) -> str:
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        return str(fields.get("detail") or fields.get("message") or fields.get("code") or fields)[:200]
    return str(error)[:200]
