"""Servers live as long as their starter: start, stop, restart with data, sudden death, leftovers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from lab.errors import LabError
from lab.servers import EmbeddedPostgres, EmbeddedValkey, Servers, State, wipe
from lab.servers.binaries import postgres_programs, valkey_programs
from lab.servers.keeper import Log, start_time
from lab.servers.owner import own_folder, server_owner
from lab.servers.process import Kept, leftovers, reap
from tests.lab import left

ORIGINS = sorted({program.origin for program in postgres_programs()})
STARTER = """
import asyncio, pathlib, sys
from lab.servers import EmbeddedPostgres, EmbeddedValkey, State
async def main():
    state = State(pathlib.Path(sys.argv[1])).open()
    servers = (EmbeddedPostgres(state, durable=False), EmbeddedValkey(state, durable=False))
    await asyncio.gather(*(server.start() for server in servers))
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of one test's own; servers given from outside play no part here."""
    for name in ("SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL", "SLIPWAY_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    wipe(tmp_path / "home")


def recorded(home: Path) -> dict[str, tuple[int, int]]:
    """Keeper and server of each record."""
    found: dict[str, tuple[int, int]] = {}
    for path in (home / "run").glob("*.json"):
        told = json.loads(path.read_text())
        found[path.stem] = (told["keeper"], told["child"])
    return found


def gone(pids: list[int], within: float) -> bool:
    """Whether all these processes end in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if all(start_time(pid) is None for pid in pids):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("first", ["valkey", "emulator", "postgres"])
async def test_a_start_cut_short_stops_what_it_had_started(home: Path, first: str) -> None:
    """Cancelled while servers start: once the start has ended, so has every process that it had started."""
    with State(home) as state:
        servers = Servers(state, durable=False)
        starting = asyncio.ensure_future(servers.start())
        while first not in recorded(home):  # noqa: ASYNC110  # a file of another process
            await asyncio.sleep(0.005)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert left.processes(home) == []


async def test_a_stop_cut_short_is_done_by_the_next(home: Path) -> None:
    """A stop that was cancelled half-way forgets nothing: the next one ends the server."""
    with State(home) as state:
        server = EmbeddedValkey(state, durable=False)
        await server.start()
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await server.stop()
        assert left.processes(home) == []


@pytest.mark.parametrize("origin", ORIGINS)
async def test_postgres_keeps_its_data(home: Path, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """Each PostgreSQL found here starts, takes a row over TLS, stops, and has the row and the address again."""
    monkeypatch.setenv("SLIPWAY_SERVERS", origin)
    addresses: list[str] = []
    for turn in (1, 2):
        with State(home) as state:
            server = EmbeddedPostgres(state)
            endpoint = await server.start()
            addresses.append(endpoint.dsn())
            with psycopg.connect(endpoint.dsn()) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (turn int)")
                connection.execute("INSERT INTO kept VALUES (%s)", [turn])
                rows = connection.execute("SELECT turn FROM kept ORDER BY turn").fetchall()
                fsync = connection.execute("SHOW fsync").fetchone()
            assert rows == [(one,) for one in range(1, turn + 1)]
            assert fsync == ("on",)
            pids = [pid for pair in recorded(home).values() for pid in pair]
            assert len(pids) == 4
            await server.stop()
            assert gone(pids, 0.1)
            assert recorded(home) == {}
    assert addresses[0] == addresses[1]
    assert ("installed" if origin == "installed" else "from PyPI") in endpoint.program


async def test_valkey_keeps_its_data(home: Path) -> None:
    """What was written is there after a restart: the append-only file is on."""
    for turn in (1, 2):
        with State(home) as state:
            server = EmbeddedValkey(state)
            endpoint = await server.start()
            with redis.Redis.from_url(endpoint.url()) as connection:
                assert connection.incr("turns") == turn
                assert connection.config_get("appendonly") == {"appendonly": "yes"}
            await server.stop()


async def test_state_sticks_to_its_version(home: Path) -> None:
    """Data of a PostgreSQL that is no longer here is refused with the way out, and is not touched."""
    with State(home) as state:
        server = EmbeddedPostgres(state, durable=False)
        await server.start()
        await server.stop()
        mark = own_folder(state, "postgres", server_owner()) / "data" / "PG_VERSION"
        mark.write_text("9\n")
        with pytest.raises(LabError, match="written by PostgreSQL 9") as caught:
            await server.start()
    assert "down --wipe" in (caught.value.hint or "")
    assert mark.read_text() == "9\n"


async def test_start_cut_short_is_made_good(home: Path) -> None:
    """A first start that was killed within initdb leaves nothing that the next one takes for a cluster."""
    with State(home) as state:
        server = EmbeddedPostgres(state, durable=False)
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        endpoint = await server.start()
        with psycopg.connect(endpoint.dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        await server.stop()


@pytest.fixture
def starter(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started both servers."""
    process = subprocess.Popen([sys.executable, "-c", STARTER, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_servers_die_with_their_starter(
    home: Path, starter: subprocess.Popen[str], number: int
) -> None:
    """However the starter ends, its servers end within seconds, in order, and the next start finds no trouble."""
    pids = [pid for pair in recorded(home).values() for pid in pair]
    assert len(pids) == 8
    starter.send_signal(number)
    starter.wait()
    assert gone(pids, 10)
    assert "database system is shut down" in (home / "run" / "postgres.log").read_text()
    with State(home) as state:
        assert reap(state) == []
        server = EmbeddedPostgres(state, durable=False)
        with psycopg.connect((await server.start()).dsn()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        await server.stop()


def test_server_dies_with_its_keeper(home: Path, starter: subprocess.Popen[str]) -> None:
    """Even the process that keeps a server may be killed: the kernel tells the server."""
    keeper, server = recorded(home)["postgres"]
    os.kill(keeper, signal.SIGKILL)
    assert gone([server], 10)


def test_leftovers_are_reaped(home: Path, starter: subprocess.Popen[str]) -> None:
    """Servers whose keepers can't act outlive a killed starter; the next start ends them first."""
    pairs = recorded(home)
    for keeper, _ in pairs.values():
        os.kill(keeper, signal.SIGSTOP)
    starter.kill()
    starter.wait()
    with State(home) as state:
        assert {one.name for one in leftovers(state)} == {"postgres", "postgres-tls", "valkey", "valkey-tls"}
        assert reap(state, patience=1.0) == ["postgres", "postgres-tls", "valkey", "valkey-tls"]
        assert leftovers(state) == []
    assert gone([pid for pair in pairs.values() for pid in pair], 1)


def test_a_stranger_is_never_reaped(home: Path) -> None:
    """A record whose process id belongs to another process by now ends nobody."""
    with State(home) as state:
        record = {"keeper": os.getpid(), "keeper_start": "1", "child": os.getppid(), "child_start": "1"}
        (state.run / "postgres.json").write_text(json.dumps({**record, "stop_signal": 9}))
        (state.run / "broken.json").write_text("{")
        assert reap(state) == []
        assert not list(state.run.glob("*.json"))


async def test_failure_says_the_last_words(home: Path) -> None:
    """A server that ends while it starts is an error with what it printed."""
    with State(home) as state:
        server = Kept("broken", state, ["/bin/sh", "-c", "echo it is broken; exit 3"])
        server.start()
        with pytest.raises(LabError, match="broken ended while starting") as caught:
            await server.until(lambda: False, timeout=10)
        assert caught.value.cause == "it is broken"
        assert str(server.log) in (caught.value.hint or "")
        await server.stop()


async def test_full_disk_in_the_log_is_named(home: Path) -> None:
    """A server that ended for want of room is told as such."""
    with State(home) as state:
        server = Kept(
            "full", state, ["/bin/sh", "-c", "echo could not write: No space left on device; exit 1"]
        )
        server.start()
        with pytest.raises(LabError) as caught:
            await server.until(lambda: False, timeout=10)
        assert caught.value.code == "disk-full"
        await server.stop()


async def test_a_server_that_never_gets_ready_is_stopped(home: Path) -> None:
    """Waiting has an end, and what did not get ready is gone after it."""
    with State(home) as state:
        server = Kept("slow", state, ["/bin/sleep", "600"])
        server.start()
        await server.until(lambda: bool(recorded(home)), timeout=10)
        pids = list(recorded(home)["slow"])
        with pytest.raises(LabError, match="was not ready within"):
            await server.until(lambda: False, timeout=0.1)
        assert gone(pids, 1)


async def test_stop_kills_after_the_grace(home: Path) -> None:
    """A server that ignores its stop signal is killed after the grace period."""
    with State(home) as state:
        command = ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
        server = Kept("stubborn", state, command, grace=0.3)
        server.start()
        await server.until(lambda: "up" in server.tail(), timeout=10)
        pids = list(recorded(home)["stubborn"])
        began = time.monotonic()
        await server.stop()
        assert gone(pids, 0.5)
        assert time.monotonic() - began < 3


def test_the_log_is_bounded(tmp_path: Path) -> None:
    """A server that talks without end fills two files of the limit's size, and the last words are kept."""
    log = Log(tmp_path / "x.log", limit=1000)
    for number in range(200):
        log.write(f"line {number:04}\n".encode())
    assert log.path.read_text().endswith("line 0199\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_every_program_tells_its_version() -> None:
    """Both servers are found here, new enough, and embedded ones are always among them."""
    assert {"embedded"} <= {program.origin for program in postgres_programs()}
    assert {"embedded"} <= {program.origin for program in valkey_programs()}
    assert all(program.major >= 14 for program in postgres_programs())
