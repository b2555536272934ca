"""PostgreSQL through psycopg 3: a pool by factory, always over TLS with the server's name checked."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from apps.platform.settings import DatabaseSettings

Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

#: A connection is asked whether it lives at most this often: the question is a round trip.
CHECK_SECONDS: Final = 5.0
#: As many digits as the first integer has that MessagePack can't hold.
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_alive: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

#: Longest wait for a free connection: beyond it the caller is told to come back.
ACQUIRE_SECONDS: Final = 5.0
#: The pool doubles its pause between attempts to connect: given up so soon, a database that was away for
#: minutes is not left alone for as long again once it is back. After that the next request tries at once.
RECONNECT_SECONDS: Final = 3.0
#: A statement that runs longer is a mistake of ours, and its locks would hold up everybody.
STATEMENT_SECONDS: Final = 15

#: What psycopg raises for a value that PostgreSQL has no place for (NUL, half a surrogate pair).
UNSTORABLE: Final = (psycopg.DataError, UnicodeEncodeError)
#: What psycopg raises when the database, and not the request, is the problem.
UNAVAILABLE: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)


def connect_arguments(settings: DatabaseSettings, name: str) -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.connect`; `name` shows in `pg_stat_activity`."""
    return {
        "host": settings.database_host,
        "port": settings.database_port,
        "dbname": settings.database_name,
        "user": settings.database_username,
        "password": settings.database_password.get_secret_value(),
        "sslmode": "verify-full",
        "sslrootcert": settings.database_ca_file,
        "connect_timeout": 5,
        "application_name": name[:63],
        "options": f"-c statement_timeout={STATEMENT_SECONDS * 1000} "
        "-c idle_in_transaction_session_timeout=30000",
        # a failover leaves connections nobody answers on: notice within half a minute
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


class DatabaseAwayError(Exception):
    """The database can't be reached at start; the message says where, why, and what to check."""


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, name: str) -> AsyncGenerator[Pool]:
    """Open a pool, wait for its first connection, and close it at the end of the block."""
    arguments = connect_arguments(settings, name)
    await _reach(settings, arguments)
    pool: Pool = AsyncConnectionPool(
        kwargs=arguments,
        min_size=min(2, settings.database_pool_size),
        max_size=settings.database_pool_size,
        timeout=ACQUIRE_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        # requests wait here no longer than that, and no more of them than could be served
        max_waiting=settings.database_pool_size * 32,
        max_idle=300,
        max_lifetime=1800,
        check=_check,
        configure=_configure,
        name=name,
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=settings.database_start_seconds)
        yield pool
    finally:
        await pool.close(timeout=5)


async def _reach(settings: DatabaseSettings, arguments: dict[str, Any]) -> None:
    """Connect once, with patience: a pool that can't would only say that it timed out."""
    end = time.monotonic() + settings.database_start_seconds
    while True:
        try:
            connection: Connection = await psycopg.AsyncConnection.connect(**arguments)
        except psycopg.OperationalError as error:
            if time.monotonic() >= end:
                raise DatabaseAwayError(
                    f"PostgreSQL at {settings.database_host}:{settings.database_port} can't be used: "
                    f"{str(error).strip()}. hint: check DATABASE_HOST, DATABASE_PORT, the role's password, "
                    "and that the server accepts connections from here"
                ) from error
            await asyncio.sleep(0.25)
            continue
        await connection.close()
        return


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncGenerator[Connection]:
    """Run a transaction in pipeline mode: BEGIN and COMMIT travel with the statements beside them.

    When the block ends without an error the commit has been confirmed by the server.
    """
    async with pool.connection() as connection, connection.pipeline(), connection.transaction():
        yield connection


async def _check(connection: Connection) -> None:
    """Ask a connection whether it lives, unless it said so a moment ago."""
    now = time.monotonic()
    if now - _alive.get(connection, float("-inf")) > CHECK_SECONDS:
        await AsyncConnectionPool.check_connection(connection)
        _alive[connection] = now


async def _configure(connection: Connection) -> None:
    """Read and write jsonb with msgspec: it is a snapshot's largest part."""
    set_json_loads(from_json, connection)
    set_json_dumps(msgspec.json.encode, connection)


def from_json(data: str | bytes) -> Any:
    """Decode jsonb, which writes 1e20 with 21 digits: an integer that no wire holds is a float again."""
    value: Any = msgspec.json.decode(data)
    digits = data.encode() if isinstance(data, str) else data
    return _wire_numbers(value) if _LONG_NUMBER.search(digits) else value


def _wire_numbers(value: Any) -> Any:
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else float(value)
    if isinstance(value, dict):
        return {name: _wire_numbers(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_wire_numbers(item) for item in cast("list[Any]", value)]
    return value


async def ping(pool: Pool) -> None:
    """Raise unless the database answers (readiness)."""
    async with pool.connection(timeout=2) as connection:
        await connection.execute("SELECT 1")
