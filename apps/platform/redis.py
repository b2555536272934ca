"""Redis (Valkey) through redis-py and hiredis: a client by factory, always over TLS and with a password."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from apps.platform.settings import RedisSettings

#: What redis-py raises when the server is away (as opposed to a wrong command).
UNAVAILABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError)
__all__ = ["UNAVAILABLE", "Redis", "RedisError", "create", "open_redis"]


def create(
    settings: RedisSettings, name: str, *, timeout_seconds: float | None = 5.0, max_connections: int = 16
) -> Redis:
    """Return a client, not yet connected. A subscriber passes `timeout_seconds=None`: it waits for ever."""
    arguments: dict[str, Any] = {
        "connection_class": SSLConnection,
        "host": settings.redis_host,
        "port": settings.redis_port,
        "password": settings.redis_password.get_secret_value(),
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": settings.redis_ca_file,
        "client_name": name,
        "socket_connect_timeout": 5.0,
        "socket_timeout": timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 15,
        # two quick tries hide a failover's dropped connection; longer outages are the caller's to handle
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), 2),
        "decode_responses": False,
    }
    # a crowd waits for a connection instead of opening a hundred: each costs a TLS handshake
    pool: Any = BlockingConnectionPool(max_connections=max_connections, timeout=5, **arguments)
    return Redis.from_pool(pool)


@asynccontextmanager
async def open_redis(
    settings: RedisSettings, name: str, *, timeout_seconds: float | None = 5.0, max_connections: int = 16
) -> AsyncGenerator[Redis]:
    """Make a client and close it at the end of the block; the server may still be away."""
    client = create(settings, name, timeout_seconds=timeout_seconds, max_connections=max_connections)
    try:
        yield client
    finally:
        await client.aclose()
