"""Servers that the user brings are read, tried and used; wrong addresses end with a clear error."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg
import pytest
import redis

from lab.errors import LabError
from lab.servers import (
    EmbeddedPostgres,
    EmbeddedValkey,
    Emulator,
    PostgresServer,
    RedisServer,
    State,
    external,
)
from tests.lab.plain import PlainPostgres

BAD_DATABASE = {
    "mysql://u:p@h/d": "scheme is 'mysql'",
    "postgresql://u:p@/d": "names no host",
    "postgresql://h/d": "names no user and password",
    "postgresql://u:p@h:port/d": "Port could not be cast",
    "postgresql://u:p@h/d?sslmode=verify-full": "without sslrootcert",
    "postgresql://u:p@h/d?sslrootcert=/no/such.pem": "is no file",
}
BAD_REDIS = {
    "http://:p@h": "scheme is 'http'",
    "redis://h": "names no password",
    "rediss://:p@h": "without ssl_ca_certs",
    "rediss://:p@h?ssl_ca_certs=/no/such.pem": "is no file",
}


@pytest.mark.parametrize(("url", "cause"), BAD_DATABASE.items())
def test_bad_database_url(url: str, cause: str) -> None:
    """Each mistake is named, the right form is shown, and the password is not repeated."""
    with pytest.raises(LabError) as caught:
        external.postgres(url)
    assert cause in (caught.value.cause or "")
    assert external.DATABASE_FORM in (caught.value.hint or "")


@pytest.mark.parametrize(("url", "cause"), BAD_REDIS.items())
def test_bad_redis_url(url: str, cause: str) -> None:
    """The same for the Redis-protocol server."""
    with pytest.raises(LabError) as caught:
        external.redis(url)
    assert cause in (caught.value.cause or "")
    assert external.REDIS_FORM in (caught.value.hint or "")


async def test_given_postgres_is_used(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with TLS and its CA file is used as it is; nothing is started."""
    monkeypatch.setenv("SLIPWAY_DATABASE_URL", postgres.dsn())
    with State(tmp_path / "home") as state:
        server = EmbeddedPostgres(state)
        endpoint = await server.start()
        assert endpoint.external
        assert (endpoint.port, endpoint.admin_password) == (postgres.port, postgres.admin_password)
        assert not list(state.run.glob("*.json"))
        await server.stop()


async def test_given_redis_is_used(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the Redis-protocol server."""
    url = f"rediss://:{redis_server.password}@localhost:{redis_server.port}/0?ssl_ca_certs={redis_server.ca_file}"
    monkeypatch.setenv("SLIPWAY_REDIS_URL", url)
    with State(tmp_path / "home") as state:
        server = EmbeddedValkey(state)
        endpoint = await server.start()
        with redis.Redis.from_url(endpoint.url()) as connection:
            assert connection.ping()
        assert endpoint.external
        await server.stop()


async def test_given_plain_redis_gets_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain server of the user's is reached through our front, so that the apps' TLS settings hold."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("SLIPWAY_REDIS_URL", f"redis://:secret@127.0.0.1:{listener.getsockname()[1]}")
    listener.close()
    with State(tmp_path / "home") as state:
        with pytest.raises(LabError, match="refused a connection") as caught:
            await EmbeddedValkey(state).start()
        assert "SLIPWAY_REDIS_URL" in (caught.value.hint or "")
        assert "secret" not in f"{caught.value.message}{caught.value.cause}{caught.value.hint}"
        assert not list(state.run.glob("*.json")), "the front is stopped again"


async def test_given_postgres_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there: an error that names the variable, and no password."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv(
        "SLIPWAY_DATABASE_URL", f"postgresql://u:secret@127.0.0.1:{listener.getsockname()[1]}/d"
    )
    listener.close()
    with State(tmp_path / "home") as state:
        with pytest.raises(LabError, match="refused a connection") as caught:
            await EmbeddedPostgres(state).start()
        assert "secret" not in f"{caught.value.message}{caught.value.cause}{caught.value.hint}"
        assert not list(state.run.glob("*.json"))


async def test_given_plain_postgres_gets_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain PostgreSQL is used through our front, with the server's name checked as in production."""
    async with PlainPostgres(tmp_path / "plain") as url:
        monkeypatch.setenv("SLIPWAY_DATABASE_URL", url)
        with State(tmp_path / "home") as state:
            server = EmbeddedPostgres(state)
            endpoint = await server.start()
            with psycopg.connect(endpoint.dsn()) as connection:
                assert connection.pgconn.ssl_in_use
                assert connection.execute("SELECT 1").fetchone() == (1,)
            await server.stop()


@pytest.mark.parametrize("url", ["localhost:4566", "ftp://h", "http://"])
async def test_bad_aws_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An endpoint that is no URL is refused with the form it should have."""
    monkeypatch.setenv("SLIPWAY_AWS_ENDPOINT_URL", url)
    with pytest.raises(LabError, match="SLIPWAY_AWS_ENDPOINT_URL"):
        await Emulator(tmp_path / "home").start()


async def test_given_aws_endpoint_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real endpoint is taken as it is, with the credentials of the environment."""
    monkeypatch.setenv("SLIPWAY_AWS_ENDPOINT_URL", "https://aws.example/")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "given")
    endpoint = await Emulator(tmp_path / "home", account_id="123456789012", region="eu-west-1").start()
    assert endpoint.external
    assert endpoint.environment() == {
        "AWS_ENDPOINT_URL": "https://aws.example",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "given",
    }
