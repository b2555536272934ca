"""The live figures over HTTP: what each process left in Redis, and nobody's without the scope."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from apps.contracts import metrics
from apps.contracts.figures import FIGURES_KEY, figures_key
from apps.contracts.metrics import Kind
from tests.apps.api.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.servers import RedisServer
    from tests.apps.api.conftest import Api


async def test_a_process_shows_its_own_figures_within_seconds(api: Api) -> None:
    """The API's own counters come back with the catalogue's names, distributions as p50 and p99."""
    headers = api.headers(scope="figures:read entities:read entities:write")
    await api.create()
    await api.client.get("/v1/me", headers=headers)

    async def seen() -> Any:
        answer = await api.client.get("/v1/figures", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["processes"]

    (mine,) = await eventually(seen, 20)
    assert mine["service"] == "api"
    known = {metric.name: metric for metric in metrics.SERVICES["api"]}
    assert mine["figures"].keys() | mine["spreads"].keys() <= known.keys()
    assert {name for name in mine["spreads"] if known[name].kind is not Kind.VALUES} == set()
    assert mine["figures"]["ResidentMemory"] > 1e7
    assert mine["figures"]["OutboxAge"] >= 0


async def test_without_the_scope_there_are_none(api: Api) -> None:
    """A user of the map is no operator: 403, and without a token 401."""
    answer = await api.client.get("/v1/figures", headers=api.headers())
    assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing")
    assert (await api.client.get("/v1/figures")).status_code == 401


async def test_a_process_that_ended_is_gone(start: Callable[..., Any], valkey: RedisServer) -> None:
    """An orderly end takes the figures away at once; a killed one's expire."""
    import redis  # noqa: PLC0415

    with redis.Redis.from_url(valkey.admin_url()) as connection:
        async with start():

            async def listed() -> Any:
                return await asyncio.to_thread(connection.zrange, FIGURES_KEY, 0, -1)

            (member,) = await eventually(listed, 20)
            key = figures_key(member.decode())
            assert 0 < connection.pttl(key) <= 12_000
        assert not connection.exists(FIGURES_KEY, key)
