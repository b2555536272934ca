"""TLS before servers that have none: what is trusted, what is refused, and that bytes pass whole."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry

from lab.servers import PostgresServer, RedisServer, State
from lab.servers.tls import TlsFront, authority


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of a CA that signed nothing here."""
    path = tmp_path_factory.mktemp("ca") / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("binding", ["prefer", "disable"])
def test_postgres_verify_full(postgres: PostgresServer, host: str, binding: str) -> None:
    """Libpq checks the name by address and by name; scram works through the front without channel binding."""
    dsn = postgres.dsn().replace("@127.0.0.1:", f"@{host}:")
    with psycopg.connect(f"{dsn}&channel_binding={binding}") as connection:
        assert connection.pgconn.ssl_in_use
        found = connection.execute(
            "SELECT current_user, (SELECT setting FROM pg_settings WHERE name = 'password_encryption')"
        )
        assert found.fetchone() == (postgres.admin_user, "scram-sha-256")


def test_postgres_wrong_ca(postgres: PostgresServer, stranger: Path) -> None:
    """A client that trusts another CA refuses the front."""
    dsn = postgres.dsn().replace(str(postgres.ca_file), str(stranger))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(dsn)


def test_postgres_wrong_name(postgres: PostgresServer) -> None:
    """The certificate is for this machine's loopback names only."""
    dsn = postgres.dsn().replace("@127.0.0.1:", "@db.example:") + "&hostaddr=127.0.0.1"
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(dsn)


def test_postgres_wrong_password(postgres: PostgresServer) -> None:
    """Authentication is on."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn(password="wrong"))


def test_postgres_without_tls_is_refused(postgres: PostgresServer) -> None:
    """A client that wants no TLS is refused in words, as RDS with forced SSL does."""
    dsn = postgres.dsn().replace("sslmode=verify-full", "sslmode=disable")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(dsn)


def test_postgres_gss_request_is_declined(postgres: PostgresServer) -> None:
    """A client that first asks for GSS encryption gets `N`, then its TLS."""
    with socket.create_connection((postgres.host, postgres.port), timeout=5) as plain:
        plain.sendall(struct.pack("!II", 8, 80877104))
        assert plain.recv(1) == b"N"
        plain.sendall(struct.pack("!II", 8, 80877103))
        assert plain.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(postgres.ca_file))
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            assert secured.version() in {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, struct.pack("!II", 8, 80877103) + b"injected in the clear"],
    ids=["http", "zeros", "bytes before the handshake"],
)
def test_postgres_garbage_is_cut(postgres: PostgresServer, garbage: bytes) -> None:
    """What is no PostgreSQL greeting ends the connection; plain bytes are never carried into the TLS session."""
    with socket.create_connection((postgres.host, postgres.port), timeout=5) as plain:
        plain.sendall(garbage)
        answer = b""
        try:
            while data := plain.recv(1024):
                answer += data
        except ConnectionResetError:
            pass
        assert not answer.startswith(b"S")
    with psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_cancel(postgres: PostgresServer) -> None:
    """A running statement can be cancelled through the front."""
    with psycopg.connect(postgres.dsn()) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()


def test_postgres_large_results_pass_whole(postgres: PostgresServer) -> None:
    """Megabytes pass in both directions without loss, though the reader is slower than the server."""
    body = "x" * 8_000_000
    with psycopg.connect(postgres.dsn()) as connection:
        found = connection.execute("SELECT %s::text || 'y'", [body]).fetchone()
    assert found == (body + "y",)


def test_postgres_many_at_once(postgres: PostgresServer) -> None:
    """Fifty clients that connect at the same time are all served."""

    def ask(number: int) -> int:
        with psycopg.connect(postgres.dsn()) as connection:
            found = connection.execute("SELECT %s::int", [number]).fetchone()
        assert found is not None
        return found[0]

    with ThreadPoolExecutor(max_workers=25) as pool:
        assert list(pool.map(ask, range(50))) == list(range(50))


def test_valkey_over_tls(valkey: RedisServer, stranger: Path) -> None:
    """The right CA and password get in; a wrong CA, a wrong password and plain text do not."""
    with redis.Redis.from_url(valkey.url()) as connection:
        assert connection.ping()
    with (
        redis.Redis.from_url(
            valkey.url().replace(str(valkey.ca_file), str(stranger)), retry=Retry(NoBackoff(), 0)
        ) as connection,
        pytest.raises(redis.ConnectionError, match="certificate verify failed"),
    ):
        connection.ping()
    with (
        redis.Redis(
            host=valkey.host, port=valkey.port, password="wrong", ssl=True, ssl_ca_certs=str(valkey.ca_file)
        ) as connection,
        pytest.raises(redis.AuthenticationError),
    ):
        connection.ping()
    with (
        redis.Redis(
            host=valkey.host,
            port=valkey.port,
            password=valkey.password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        ) as connection,
        pytest.raises(redis.ConnectionError),
    ):
        connection.ping()


def test_lab_user_outlives_a_changed_password(valkey: RedisServer) -> None:
    """A stack may set its own auth token; the lab's own user still gets in, to set it."""
    with redis.Redis.from_url(valkey.admin_url()) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">stacks-own-token")
        try:
            with (
                redis.Redis.from_url(valkey.url()) as connection,
                pytest.raises(redis.AuthenticationError),
            ):
                connection.ping()
            with redis.Redis(
                host=valkey.host,
                port=valkey.port,
                password="stacks-own-token",
                ssl=True,
                ssl_ca_certs=str(valkey.ca_file),
            ) as connection:
                assert connection.ping()
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "resetpass", f">{valkey.password}")


def test_authority_is_kept_and_private(tmp_path: Path) -> None:
    """The CA is made once; its keys are readable by their owner only."""
    state = State(tmp_path / "home")
    first = authority(state)
    before = first.ca_file.read_bytes()
    assert authority(state) == first
    assert first.ca_file.read_bytes() == before
    for name in ("ca.key", "server.pem"):
        assert (state.ca / name).stat().st_mode & 0o777 == 0o600


def test_broken_authority_is_made_anew(tmp_path: Path) -> None:
    """Half a pair or a damaged file is replaced whole, not served."""
    state = State(tmp_path / "home")
    first = authority(state)
    before = first.ca_file.read_bytes()
    first.certificate.write_text("damaged")
    context = ssl.create_default_context(cafile=str(authority(state).ca_file))
    assert context.get_ca_certs()
    assert first.ca_file.read_bytes() != before


async def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    """The last run's port is preferred; taken by another program, a free one is used and told."""
    with State(tmp_path / "home") as state, socket.create_server(("127.0.0.1", 0)) as taken:
        (state.run / "x-tls.port").write_text(str(taken.getsockname()[1]))
        front = TlsFront(state, "x", "plain", host="127.0.0.1", port=1)
        front.launch(authority(state))
        port = await front.ready()
        assert port != taken.getsockname()[1]
        await front.stop()
        front.launch(authority(state))
        assert await front.ready() == port
        await front.stop()


async def test_a_server_that_is_away_cuts_the_client(tmp_path: Path) -> None:
    """A front without its server ends each connection at once instead of letting clients wait."""
    with State(tmp_path / "home") as state:
        issued = authority(state)
        front = TlsFront(state, "x", "plain", path=tmp_path / "no.sock")
        front.launch(issued)
        port = await front.ready()
        context = ssl.create_default_context(cafile=str(issued.ca_file))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            secured.sendall(b"hello")
            assert secured.recv(10) == b""
        await front.stop()
