"""The doctor names what is missing and one way to mend it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli import main
from lab.doctor import Machine, Verdict, checks, examine
from lab.doctor.check_memory import available
from lab.servers import State
from lab.servers.keeper import start_time

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """This machine, with a state folder and a port of the test's own."""
    monkeypatch.setattr("lab.servers.owner.OUTSIDE", tmp_path / "outside")
    for name in ("SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL", "SLIPWAY_AWS_ENDPOINT_URL", "SLIPWAY_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    return Machine(ROOT, tmp_path / "home", port)


def one(name: str, machine: Machine) -> Verdict:
    """The verdict of one check."""
    return checks()[name](machine)


def test_every_check_answers(machine: Machine) -> None:
    """On a machine that runs these tests nothing fails that `up` needs, and each verdict is whole."""
    verdicts = examine(machine)
    assert [verdict.name for verdict in verdicts] == sorted(checks())
    assert all(verdict.fact for verdict in verdicts)
    assert all(bool(verdict.fix) == (verdict.status != "ok") for verdict in verdicts)
    needed = {"disk", "port", "postgres", "python", "state", "uv", "valkey"}
    assert {verdict.name for verdict in verdicts if verdict.status == "fail"} & needed == set()


def test_looking_changes_nothing(machine: Machine) -> None:
    """The doctor makes no state folder."""
    examine(machine)
    assert not machine.home.exists()


def test_a_broken_check_is_a_failure(machine: Machine) -> None:
    """A check that breaks is told, and the others still answer."""

    def broken(machine: Machine) -> Verdict:
        raise RuntimeError("odd")

    verdicts = examine(machine, {"broken": broken, "port": checks()["port"]})
    assert [(verdict.name, verdict.status) for verdict in verdicts] == [("broken", "fail"), ("port", "ok")]
    assert "odd" in verdicts[0].fact


def test_taken_port(machine: Machine) -> None:
    """Another program on the front's port fails; the fix names both ways out."""
    with socket.create_server(("127.0.0.1", machine.port)):
        verdict = one("port", machine)
    assert verdict.status == "fail"
    assert "SLIPWAY_PORT" in verdict.fix


def test_own_stack_may_have_the_port(machine: Machine) -> None:
    """While this project's stack runs its port is no trouble."""
    with State(machine.home), socket.create_server(("127.0.0.1", machine.port)):
        assert one("port", machine).status == "ok"
        assert "running stack" in one("state", machine).fact


def test_full_disk(machine: Machine) -> None:
    """Less room than needed fails with the figure."""
    verdict = one("disk", Machine(machine.root, machine.home, machine.port, min_free_bytes=1 << 60))
    assert verdict.status == "fail"
    assert "MiB needed" in verdict.fact


def test_little_memory(machine: Machine, tmp_path: Path) -> None:
    """Less memory than advised warns; a kernel that does not say falls back to all there is."""
    verdict = one("memory", Machine(machine.root, machine.home, machine.port, min_memory_bytes=1 << 60))
    assert verdict.status == "warn"
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable:    2048 kB\n")
    assert available(tmp_path / "meminfo") == 2048 * 1024
    assert available(tmp_path / "absent") > 2**28


def test_stale_state(machine: Machine) -> None:
    """State of another version fails with the command that mends it."""
    State(machine.home).open().close()
    (machine.home / "version").write_text("0\n")
    verdict = one("state", machine)
    assert verdict.status == "fail"
    assert "down --wipe" in verdict.fix


def test_leftovers_are_named(machine: Machine) -> None:
    """A server that still runs without its stack is named with its process id."""
    with State(machine.home) as state, subprocess.Popen(["sleep", "60"]) as process:
        began = start_time(process.pid)
        record = {"keeper": process.pid, "keeper_start": began, "child": process.pid, "child_start": began}
        (state.run / "valkey.json").write_text(json.dumps({**record, "stop_signal": int(signal.SIGTERM)}))
        state.close()
        verdict = one("leftovers", machine)
        process.kill()
    assert verdict.status == "warn"
    assert f"valkey (process {process.pid})" in verdict.fact
    assert one("leftovers", machine).status == "ok"


def test_lost_data_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data below /var/lib whose state folder was deleted by hand is named, with the way to drop it."""
    monkeypatch.setattr("lab.doctor.check_leftovers.orphans", lambda: [(Path("/var/lib/slipway/x"), "/gone")])
    verdict = one("leftovers", machine)
    assert verdict.status == "warn"
    assert verdict.fix == "rm -r /var/lib/slipway/x"


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("postgres", "SLIPWAY_DATABASE_URL", "mysql://u:p@h/d"),
        ("valkey", "SLIPWAY_REDIS_URL", "redis://h"),
        ("postgres", "SLIPWAY_SERVERS", "nonsense"),
        ("valkey", "SLIPWAY_SERVERS", "nonsense"),
    ],
)
def test_bad_settings(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, value: str
) -> None:
    """A variable that `up` would refuse is refused here too, with the same words."""
    monkeypatch.setenv(variable, value)
    verdict = one(name, machine)
    assert verdict.status == "fail"
    assert variable in verdict.fact


@pytest.mark.parametrize("name", ["uv", "node", "chromium"])
def test_missing_tools(machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A tool that is nowhere is told with the command that brings it."""
    monkeypatch.setattr("shutil.which", lambda *_: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    monkeypatch.setattr("lab.servers.emulator.ROOT", machine.home)
    verdict = one(name, machine)
    assert verdict.status != "ok"
    assert "install" in verdict.fix


def test_verb_prints_and_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: Machine
) -> None:
    """`slipway doctor port` says ok and exits 0; with the port taken it says how to mend it and exits 1."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SLIPWAY_HOME", str(machine.home))
    monkeypatch.setenv("SLIPWAY_PORT", str(machine.port))
    assert main(["doctor", "port", "--no-color"]) == 0
    assert (
        capsys.readouterr().out
        == f"ok    port  127.0.0.1:{machine.port} is free\n\n1 ok, 0 warnings, 0 failed\n"
    )
    with socket.create_server(("127.0.0.1", machine.port)):
        assert main(["doctor", "port", "--no-color"]) == 1
        assert "fix: " in capsys.readouterr().out
        assert main(["doctor", "port", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["checks"][0]["status"]) == (False, "fail")


def test_unknown_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that does not exist is a usage error that lists those that do."""
    monkeypatch.chdir(ROOT)
    assert main(["doctor", "prot"]) == 2
    assert "port" in capsys.readouterr().err


def test_doctor_runs_as_a_program(tmp_path: Path) -> None:
    """The whole verb answers within ten seconds, in one JSON document."""
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, "SLIPWAY_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    document = json.loads(done.stdout)
    assert {check["name"] for check in document["checks"]} == set(checks())
    assert done.returncode == (0 if document["ok"] else 1)
