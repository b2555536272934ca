"""Changes leave the API through the outbox: all of them, also when Redis was away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import redis.asyncio

from apps.api.settings import ApiSettings
from apps.contracts.entities import ENTITY_FIELD, ENTITY_STREAM, EntityChanged, decode
from apps.platform import outbox, postgres
from apps.platform.outbox import OutboxRelay, enqueue, stream
from tests.apps.api.conftest import eventually, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apps.api.conftest import Api


async def changes(valkey: Any) -> list[EntityChanged]:
    """What is on the stream."""
    client: Any = redis.asyncio.Redis.from_url(valkey.url())
    async with client:
        return [decode(fields[ENTITY_FIELD]) for _, fields in await client.xrange(ENTITY_STREAM)]


def rows(database: Any) -> int:
    """What is still in the outbox."""
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute("SELECT count(*) FROM outbox").fetchone()
    return int(found[0]) if found else -1


async def test_each_change_is_announced_with_its_trace(api: Api, valkey: Any) -> None:
    """Create, move and delete arrive in order, with versions, access, and the caller's correlation id."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = {"id": "x", "kind": "a", "lat": 1, "lon": 2, "access": {"rule": "owner"}}
    headers = {**api.headers(), "traceparent": trace, "x-correlation-id": "call-1"}
    await api.client.post("/v1/entities", json=body, headers=headers)
    await api.client.patch("/v1/entities/x", json={"lat": 3}, headers=headers)
    await api.client.delete("/v1/entities/x", headers=headers)

    async def three() -> list[EntityChanged]:
        found = await changes(valkey)
        return found if len(found) >= 3 else []

    made, moved, gone = await eventually(three)
    assert [(item.version, item.lat, item.deleted) for item in (made, moved, gone)] == [
        (1, 1.0, False),
        (2, 3.0, False),
        (3, 3.0, True),
    ]
    assert (made.access.rule, made.access.owner) == ("owner", "ann")
    assert made.trace.correlation_id == "call-1"
    assert made.trace.traceparent.split("-")[1] == trace.split("-")[1]
    assert made.changed_at <= moved.changed_at <= gone.changed_at


async def test_nothing_is_lost_while_redis_is_away(
    start: Callable[..., Any], database: Any, valkey: Any
) -> None:
    """Changes are acknowledged without Redis, wait in the table, and arrive once a relay reaches it."""
    async with start(redis_port=1) as api:
        rows_sent = [{"id": f"e{number}", "kind": "a", "lat": 1, "lon": 1} for number in range(300)]
        answer = await api.client.post(
            "/v1/entities/bulk", json={"entities": rows_sent}, headers=api.headers()
        )
        assert answer.json()["accepted"] == 300
        assert "ratelimit-limit" not in answer.headers
        assert rows(database) == 300
        assert (await api.client.get("/ready")).status_code == 200
    async with start(redis_port=valkey.port, outbox_batch=70):

        async def all_there() -> bool:
            return len(await changes(valkey)) == 300

        await eventually(all_there)
    assert rows(database) == 0
    assert {item.id for item in await changes(valkey)} == {item["id"] for item in rows_sent}


async def test_relays_share_the_table(start: Callable[..., Any], database: Any, valkey: Any) -> None:
    """Two relays at once send each row once."""
    async with start() as one, start() as two:
        await asyncio.gather(
            *((one if number % 2 else two).create(id=f"e{number}") for number in range(40)),
        )

        async def empty() -> bool:
            return rows(database) == 0

        await eventually(empty)
    assert sorted(item.id for item in await changes(valkey)) == sorted(f"e{number}" for number in range(40))


async def test_a_rolled_back_change_is_not_announced(
    database: Any, valkey: Any, issuer: Any, monkeypatch: Any
) -> None:
    """The outbox row shares the fate of its transaction."""
    for name, value in settings_of(database, valkey, issuer).items():
        monkeypatch.setenv(name, value)
    async with postgres.open_pool(ApiSettings(), "test") as pool:  # pyright: ignore[reportCallIssue]
        async with pool.connection() as connection, connection.transaction(force_rollback=True):
            await enqueue(connection, stream("s"), [b"x"])
        async with pool.connection() as connection, connection.transaction():
            await enqueue(connection, stream("s"), [b"y", b"z"])
        client: Any = redis.asyncio.Redis.from_url(valkey.url())
        async with client:
            relay = OutboxRelay(pool, client, field=b"f")
            stop = asyncio.Event()
            stop.set()
            # stopped before it began: it still sends what is committed
            await relay.run(stop)
            assert [fields for _, fields in await client.xrange("s")] == [{b"f": b"y"}, {b"f": b"z"}]
            assert relay.relayed == 2


async def test_the_stream_is_bounded(start: Callable[..., Any], valkey: Any, monkeypatch: Any) -> None:
    """The stream keeps about its length: it is a window, not an archive."""
    monkeypatch.setattr(outbox, "STREAM_LENGTH", 200)
    async with start(write_burst=10_000) as api:
        for part in range(3):
            batch = [{"id": f"e{part}-{number}", "kind": "a", "lat": 1, "lon": 1} for number in range(400)]
            await api.client.post("/v1/entities/bulk", json={"entities": batch}, headers=api.headers())

        async def last() -> bool:
            found = await changes(valkey)
            return bool(found) and found[-1].id.startswith("e2-")

        await eventually(last)
        await asyncio.sleep(0.2)
        assert 200 <= len(await changes(valkey)) < 500
