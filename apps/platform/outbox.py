"""Changes leave through an outbox: written in the caller's transaction, relayed to Redis after it.

At least once: a crash between Redis' answer and the commit sends a change again, and its version makes the
copy harmless. Several relays share the table (`SKIP LOCKED`), so the order on the stream is only nearly the
order of commits; readers go by version.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final

from apps.platform.log import Log
from apps.platform.pacing import Bell, pause
from apps.platform.postgres import UNAVAILABLE as DATABASE_UNAVAILABLE
from apps.platform.postgres import transaction
from apps.platform.redis import RedisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.platform.postgres import Connection, Pool
    from apps.platform.redis import Redis

log = Log("slipway.outbox")

#: The stream is a window, not an archive: a reader that falls out of it rebuilds from PostgreSQL.
STREAM_LENGTH: Final = 100_000
#: The longest pause is what clients wait for after an outage, beside the second until all else is back.
_BACKOFF_SECONDS: Final = (0.1, 1.0)

_ENQUEUE: Final = """
INSERT INTO outbox (destination, payload) SELECT %(destination)s, unnest(%(payloads)s::bytea[])
"""
#: The oldest by the primary key, and a count that stops: a long outage must not make the figure dear.
_BACKLOG: Final = """
SELECT coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)
                 FROM outbox ORDER BY id LIMIT 1), 0),
       (SELECT count(*) FROM (SELECT FROM outbox LIMIT 10000) AS counted)
"""
_CLAIM: Final = """
DELETE FROM outbox WHERE id = ANY (ARRAY(
    SELECT id FROM outbox ORDER BY id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)) RETURNING id, destination, payload
"""


def stream(name: str) -> str:
    """Destination of what readers must not miss: XADD to the Redis Stream `name`."""
    return f"stream:{name}"


def channel(name: str) -> str:
    """Destination of a hint to whoever listens now: PUBLISH on `name`."""
    return f"channel:{name}"


async def enqueue(connection: Connection, destination: str, payloads: Sequence[bytes]) -> None:
    """Write payloads in the transaction of `connection`; wake a relay once that has committed."""
    if payloads:
        await connection.execute(_ENQUEUE, {"destination": destination, "payloads": list(payloads)})


class OutboxRelay:
    """A service: moves rows to their streams, woken by `wake` after a commit here, else by its poll.

    There is no NOTIFY on purpose: PostgreSQL serializes the commits of transactions that notify.
    """

    name = "outbox-relay"

    def __init__(
        self, pool: Pool, redis: Redis, *, field: bytes, batch: int = 500, poll_seconds: float = 1.0
    ) -> None:
        self._pool = pool
        self._redis = redis
        self._field = field
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._bell = Bell()
        self._failures = 0
        #: Rows moved since the start, for logs and tests.
        self.relayed = 0
        #: Seconds that the oldest row has waited, and how many wait, as `look` found them last.
        self.age = 0.0
        self.backlog = 0

    def wake(self) -> None:
        """Tell the relay that rows were committed."""
        self._bell.ring()

    async def look(self) -> None:
        """Ask the database what waits: a relay that can't work does not know."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_BACKLOG)
            row: Any = await cursor.fetchone()
        self.age, self.backlog = round(float(row[0]), 3), int(row[1])

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then once more what this process has committed."""
        with self._bell.also(stop):
            while not stop.is_set():
                seconds = await self._round()
                if self._failures:
                    # a wake-up means rows, and those can't leave now
                    await pause(stop, seconds)
                elif seconds > 0:
                    await self._bell.wait(seconds)
            await self._round()

    async def _round(self) -> float:
        """Move one batch; returns how long to sleep before the next."""
        self._bell.heard()
        begun = time.monotonic()
        try:
            moved = await self._move()
        except (RedisError, OSError, *DATABASE_UNAVAILABLE) as error:
            return self._failed(error)
        if self._failures:
            log.info("outbox.recovered", after_failures=self._failures)
            self._failures = 0
        self.relayed += moved
        if moved:
            log.debug("outbox.relayed", rows=moved, seconds=round(time.monotonic() - begun, 4))
        # a full batch means more may wait
        return 0.0 if moved == self._batch else self._poll_seconds

    async def _move(self) -> int:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(_CLAIM, {"batch": self._batch})
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
            if rows:
                # DELETE returns rows in any order
                rows.sort(key=lambda row: int(row[0]))
                # redis-py types its commands only partly
                pipeline: Any = self._redis.pipeline(transaction=False)
                for _, destination, payload in rows:
                    kind, _, name = str(destination).partition(":")
                    if kind == "stream":
                        fields: dict[Any, Any] = {self._field: bytes(payload)}
                        pipeline.xadd(name, fields, maxlen=STREAM_LENGTH, approximate=True)
                    else:
                        pipeline.publish(name, bytes(payload))
                await pipeline.execute()
            return len(rows)

    def _failed(self, error: BaseException) -> float:
        self._failures += 1
        low, high = _BACKOFF_SECONDS
        seconds = min(high, low * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
        # the first failure and every tenth: rows stay in the table, so nothing is lost meanwhile
        if self._failures % 10 == 1:
            log.warning(
                "outbox.relay_failed",
                error=f"{type(error).__name__}: {error}",
                failures=self._failures,
                again_in_seconds=round(seconds, 2),
            )
        return seconds
