"""Redis (Valkey) through redis-py and hiredis: a client by factory, always over TLS and with a password.

After a failover the address leads to another server, while connections to the old one may stand and answer
`READONLY`: then all of them are dropped, the command is tried again on a new one, and who follows is told.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from apps.platform.settings import RedisSettings

log = Log("slipway.redis")

#: What redis-py raises when the server is away (as opposed to a wrong command).
UNAVAILABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError)
__all__ = ["UNAVAILABLE", "Redis", "RedisError", "create", "on_demoted", "open_redis", "operations"]


class _Operations:
    count = 0


def operations() -> int:
    """Return how many commands this process has sent."""
    return _Operations.count


class _Demotions:
    """What the connections of one client share: how often a server of theirs became a replica."""

    def __init__(self) -> None:
        self.count = 0
        self.listeners: list[Callable[[], None]] = []

    def happened(self) -> None:
        self.count += 1
        log.warning("redis.demoted", count=self.count)
        for listener in self.listeners:
            listener()


class _PrimaryConnection(SSLConnection):
    """Stays only with a server that takes writes, and counts what is sent."""

    def __init__(self, *, demotions: _Demotions, **arguments: Any) -> None:
        super().__init__(**arguments)  # pyright: ignore[reportUnknownMemberType]  # partly typed
        self._demotions = demotions
        self._seen = demotions.count

    async def _connect(self) -> None:
        self._seen = self._demotions.count
        await super()._connect()  # pyright: ignore[reportUnknownMemberType]  # redis-py types it not

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        if self._seen != self._demotions.count and self.is_connected:
            await self.disconnect(nowait=True)  # a connection of before: super opens a new one
        await super().send_packed_command(*arguments, **options)

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        _Operations.count += 1
        await super().send_command(*args, **kwargs)

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        listed = list(commands)
        _Operations.count += len(listed)
        return super().pack_commands(listed)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await cast("Any", super()).read_response(*arguments, **options)
        except ReadOnlyError as error:
            if self._seen == self._demotions.count:
                self._demotions.happened()
            await self.disconnect(nowait=True)
            # as a lost connection it is tried again, and callers know what to do when that fails too
            raise RedisConnectionError("the server became a replica (READONLY)") from error


def create(
    settings: RedisSettings, name: str, *, timeout_seconds: float | None = 5.0, max_connections: int = 16
) -> Redis:
    """Return a client, not yet connected. A subscriber passes `timeout_seconds=None`: it waits for ever."""
    arguments: dict[str, Any] = {
        "connection_class": _PrimaryConnection,
        "demotions": _Demotions(),
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


def on_demoted(client: Redis, listener: Callable[[], None]) -> None:
    """Call `listener` whenever a server of the client turns out to be a replica now."""
    demotions: _Demotions = cast("Any", client).connection_pool.connection_kwargs["demotions"]
    demotions.listeners.append(listener)


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
