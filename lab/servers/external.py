"""Servers that the user brings: `SLIPWAY_DATABASE_URL` and `SLIPWAY_REDIS_URL`, read and tried before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from lab.errors import LabError
from lab.servers.binaries import MIN_POSTGRES, MIN_VALKEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.servers.endpoints import PostgresServer, RedisServer

DATABASE = "SLIPWAY_DATABASE_URL"
REDIS = "SLIPWAY_REDIS_URL"
DATABASE_FORM = "postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslrootcert=CA.pem"
REDIS_FORM = "rediss://:PASSWORD@HOST:6379/0?ssl_ca_certs=CA.pem"


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of the user's; no `ca_file` means a plain connection."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ca_file: Path | None


@dataclass(frozen=True)
class Redis:
    """A Redis-protocol server of the user's; no `ca_file` means a plain connection."""

    host: str
    port: int
    user: str
    password: str
    ca_file: Path | None


def _bad(variable: str, cause: str, form: str) -> LabError:
    return LabError(f"{variable} cannot be used", cause=cause, hint=f"give it as {form}", code="bad-setting")


def _parse(
    variable: str, url: str, schemes: tuple[str, ...], form: str
) -> tuple[SplitResult, str, int | None]:
    """The address; the URL itself is never repeated in an error, as it holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise _bad(variable, str(problem), form) from None
    if parts.scheme not in schemes:
        raise _bad(variable, f"its scheme is {parts.scheme!r}, allowed: {', '.join(schemes)}", form)
    if not parts.hostname:
        raise _bad(variable, "it names no host", form)
    return parts, parts.hostname, port


def _ca_file(variable: str, parts: SplitResult, key: str, form: str) -> Path | None:
    found = parse_qs(parts.query).get(key)
    if not found:
        return None
    path = Path(found[0]).expanduser()
    if not path.is_file():
        raise _bad(variable, f"{key}={path} is no file", form)
    return path.resolve()


def postgres(url: str) -> Postgres:
    """Read `SLIPWAY_DATABASE_URL`."""
    parts, host, port = _parse(DATABASE, url, ("postgresql", "postgres"), DATABASE_FORM)
    if not parts.username or not parts.password:
        raise _bad(DATABASE, "it names no user and password", DATABASE_FORM)
    ca_file = _ca_file(DATABASE, parts, "sslrootcert", DATABASE_FORM)
    mode = parse_qs(parts.query).get("sslmode", [""])[0]
    if ca_file is None and mode in {"require", "verify-ca", "verify-full"}:
        raise _bad(
            DATABASE, f"sslmode={mode} without sslrootcert: the apps check the server's name", DATABASE_FORM
        )
    name = unquote(parts.path.removeprefix("/")) or "postgres"
    return Postgres(host, port or 5432, unquote(parts.username), unquote(parts.password), name, ca_file)


def redis(url: str) -> Redis:
    """Read `SLIPWAY_REDIS_URL`."""
    parts, host, port = _parse(REDIS, url, ("redis", "rediss"), REDIS_FORM)
    if not parts.password:
        raise _bad(REDIS, "it names no password", REDIS_FORM)
    ca_file = _ca_file(REDIS, parts, "ssl_ca_certs", REDIS_FORM)
    if parts.scheme == "rediss" and ca_file is None:
        raise _bad(REDIS, "rediss without ssl_ca_certs: the apps check the server's name", REDIS_FORM)
    user = unquote(parts.username or "") or "default"
    return Redis(
        host, port or 6379, user, unquote(parts.password), ca_file if parts.scheme == "rediss" else None
    )


def _reason(problem: Exception) -> str:
    """What the client said; a connection that our front closed at once is one that it could not pass on."""
    words = str(problem).strip()
    return "nothing answers there" if "closed" in words.lower() else words


def check_postgres(server: PostgresServer, address: str) -> None:
    """It answers, lets us in, and is new enough."""
    import psycopg  # noqa: PLC0415 — only with a server of the user's

    try:
        with psycopg.connect(server.dsn(), connect_timeout=5) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as problem:
        raise LabError(
            f"the PostgreSQL of {DATABASE} refused a connection",
            cause=f"{address}: {_reason(problem)}",
            hint=f"check the server, or unset {DATABASE} to use one of slipway's own",
            code="server-refused",
        ) from None
    if version < MIN_POSTGRES:
        raise LabError(
            f"the PostgreSQL of {DATABASE} is version {version}",
            cause=f"slipway needs {MIN_POSTGRES} or later",
            hint=f"upgrade it, or unset {DATABASE} to use one of slipway's own",
            code="server-refused",
        )


def check_redis(server: RedisServer, address: str) -> None:
    """It answers, lets us in, and is new enough."""
    import redis as client  # noqa: PLC0415 — only with a server of the user's

    try:
        # redis-py leaves keyword arguments untyped
        connect: Callable[..., Any] = client.Redis.from_url  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        with connect(server.admin_url(), socket_timeout=5, socket_connect_timeout=5) as connection:
            version = str(connection.info("server")["redis_version"])
    except (client.RedisError, OSError) as problem:
        raise LabError(
            f"the server of {REDIS} refused a connection",
            cause=f"{address}: {_reason(problem)}",
            hint=f"check the server, or unset {REDIS} to use one of slipway's own",
            code="server-refused",
        ) from None
    if int(version.partition(".")[0]) < MIN_VALKEY:
        raise LabError(
            f"the server of {REDIS} speaks version {version}",
            cause=f"slipway needs {MIN_VALKEY} or later",
            hint=f"upgrade it, or unset {REDIS} to use one of slipway's own",
            code="server-refused",
        )
