"""Token buckets on a real server, and without one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pydantic import SecretStr

from apps.platform.errors import RateLimitError
from apps.platform.ratelimit import Bucket, RateLimiter
from apps.platform.redis import open_redis
from apps.platform.settings import RedisSettings


def settings(valkey: Any) -> RedisSettings:
    """Where the test's server is."""
    return RedisSettings(
        redis_host=valkey.host,
        redis_port=valkey.port,
        redis_password=SecretStr(valkey.password),
        redis_ca_file=str(valkey.ca_file),
    )


async def test_a_bucket_refills(valkey: Any) -> None:
    """A burst passes, the next is told how long to wait, and after that time one passes again."""
    async with open_redis(settings(valkey), "test") as client:
        limiter = RateLimiter(client, answer_seconds=30)
        bucket = Bucket("read", rate=4, burst=3)
        left = [await limiter.charge(bucket, "ann") for _ in range(3)]
        assert [decision.remaining for decision in left if decision] == [2, 1, 0]
        with pytest.raises(RateLimitError) as caught:
            await limiter.charge(bucket, "ann", 3)
        assert caught.value.headers["retry-after"] == "1"
        await asyncio.sleep(0.8)
        assert await limiter.charge(bucket, "ann", 3)
        assert await client.pttl("rate:read:ann") <= 2000


async def test_crowds_get_no_more_than_the_burst(valkey: Any) -> None:
    """A hundred calls at once share one bucket exactly."""
    async with open_redis(settings(valkey), "test") as client:
        limiter = RateLimiter(client, answer_seconds=30)
        bucket = Bucket("write", rate=0.01, burst=30)
        results = await asyncio.gather(
            *(limiter.charge(bucket, "ann") for _ in range(100)), return_exceptions=True
        )
    assert sum(isinstance(result, RateLimitError) for result in results) == 70


async def test_without_redis_everything_passes_quickly() -> None:
    """A limiter that can't count lets pass, and does not make everybody wait for its time-outs."""
    absent = RedisSettings(redis_host="127.0.0.1", redis_port=1, redis_password=SecretStr("x"))
    async with open_redis(absent, "test") as client:
        limiter = RateLimiter(client)
        begun = time.monotonic()
        for _ in range(50):
            assert await limiter.charge(Bucket("read", 1, 1), "ann") is None
        assert time.monotonic() - begun < 2
