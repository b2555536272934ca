"""The supervisor on tiny programs: readiness, crash and back-off, ordered stop, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.run import supervisor as module
from lab.run.log import ServiceLog, render
from lab.run.process import Spec
from lab.run.supervisor import Row, State, Supervised, Supervisor, free_port

SERVER = """
import http.server, os, signal, sys, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = 200 if not os.path.exists(sys.argv[1]) else 503
        self.send_response(code); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *a): pass
def bye(*a):
    with open(sys.argv[2], "a") as f: f.write(os.environ["SERVICE"] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


def spec(name: str, code: str, *arguments: str, port: int | None = None, **more: object) -> Spec:
    """A tiny program as a service."""
    return Spec(
        name=name,
        command=["python", "-c", code, *arguments],
        environment={"SERVICE": name, "PORT": str(port or 0)},
        cwd=Path.cwd(),
        port=port,
        ready_path="/ready" if port else None,
        **more,  # type: ignore[arg-type]
    )


async def until(check, seconds: float = 10) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"State:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()


@pytest.fixture
async def supervisor(tmp_path: Path):
    """A supervisor whose processes end with the test."""
    made = Supervisor(tmp_path / "logs")
    yield made
    await made.stop()


def server(supervisor: Supervisor, tmp_path: Path, name: str) -> Supervised:
    """A service that is sick while a file exists and writes its name when stopped."""
    return supervisor.add(
        spec(name, SERVER, str(tmp_path / "sick"), str(tmp_path / "stopped"), port=free_port())
    )


async def test_ready_and_unready_follow_the_service(
    supervisor: Supervisor, tmp_path: Path, monkeypatch
) -> None:
    """A service is ready once it answers 200, and not ready again while it answers 503."""
    monkeypatch.setattr(module, "PROBE_READY_SECONDS", 0.05)
    one = server(supervisor, tmp_path, "one")
    await asyncio.wait_for(one.ready.wait(), 10)
    assert one.row.seconds is not None
    assert one.row.pid is not None
    (tmp_path / "sick").touch()
    await until(lambda: one.row.state is State.UNREADY)
    assert one.row.detail.startswith("503")
    (tmp_path / "sick").unlink()
    await asyncio.wait_for(one.ready.wait(), 10)


async def test_killed_service_is_restarted_with_back_off(supervisor: Supervisor, tmp_path: Path) -> None:
    """A kill -9 of a ready service is shown with the signal's name, and a new process serves the same port."""
    one = server(supervisor, tmp_path, "one")
    await asyncio.wait_for(one.ready.wait(), 10)
    first = one.row.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: one.row.state is State.BACKOFF)
    assert one.row.detail == "killed by SIGKILL; again in 0.5 s"
    await asyncio.wait_for(one.ready.wait(), 10)
    assert one.row.pid != first
    assert one.row.restarts == 1
    assert "ended with killed by SIGKILL" in one.log.path.read_text()


async def test_crash_loop_is_given_up(supervisor: Supervisor, monkeypatch) -> None:
    """A service that only crashes is tried a bounded number of times, each later than the one before."""
    monkeypatch.setattr(module, "FIRST_BACKOFF_SECONDS", 0.01)
    began: list[float] = []
    one = supervisor.add(spec("bad", "import sys; print('no DATABASE_HOST'); sys.exit(3)"))
    one._changed = lambda: began.append(time.monotonic()) if one.row.state is State.STARTING else None
    await asyncio.wait_for(one.ended.wait(), 20)
    assert one.row.state is State.FAILED
    assert one.row.detail == f"exit code 3; given up after {module.CRASHES_IN_A_ROW} crashes in a row"
    assert one.row.restarts == module.CRASHES_IN_A_ROW - 1
    assert "no DATABASE_HOST" in one.log.tail


async def test_stop_is_in_reverse_order(tmp_path: Path) -> None:
    """The last one started is asked to drain first, and each one gets its SIGTERM."""
    supervisor = Supervisor(tmp_path / "logs")
    names = ["one", "two", "three"]
    for name in names:
        await asyncio.wait_for(server(supervisor, tmp_path, name).ready.wait(), 10)
    await supervisor.stop()
    assert (tmp_path / "stopped").read_text().split() == names[::-1]
    assert {one.row.state for one in supervisor.all.values()} == {State.STOPPED}


async def test_a_deaf_service_is_killed_with_its_children(supervisor: Supervisor, tmp_path: Path) -> None:
    """SIGTERM ignored: after the service's own stop time the whole group is gone, grandchildren too."""
    code = (
        "import signal,subprocess,sys,time; signal.signal(15, signal.SIG_IGN);"
        "p=subprocess.Popen([sys.executable,'-c','import time,signal; signal.signal(15,signal.SIG_IGN); time.sleep(60)']);"
        "open(sys.argv[1],'w').write(str(p.pid)+chr(10)); time.sleep(60)"
    )
    one = supervisor.add(spec("deaf", code, str(tmp_path / "pid"), stop_seconds=0.3))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    parent, child = one.row.pid, int((tmp_path / "pid").read_text())
    assert parent is not None
    await asyncio.wait_for(one.stop(), 10)
    await until(lambda: not alive(parent) and not alive(child))
    assert "did not stop within 0 s, killed" in one.log.path.read_text()


async def test_one_off_task_reports_its_code_and_last_words(supervisor: Supervisor) -> None:
    """A task is run once; a failure carries its exit code and what it printed."""
    good, bad = Row("good", "task"), Row("bad", "task")
    assert await supervisor.run_once(spec("good", "print('done')"), good) == 0
    assert good.state is State.DONE
    assert await supervisor.run_once(spec("bad", "raise SystemExit('column missing')"), bad) == 1
    assert bad.state is State.FAILED
    assert bad.detail.splitlines() == ["exit code 1", "column missing"]


async def test_a_program_that_is_not_there_says_so(supervisor: Supervisor) -> None:
    """A command that names no program ends with its name in the log."""
    row = Row("x", "task")
    absent = Spec("x", ["no-such-program"], {}, Path.cwd())
    assert await supervisor.run_once(absent, row) == 127
    assert "no-such-program cannot be started: No such file or directory" in row.detail


async def test_the_environment_is_the_task_definitions(
    supervisor: Supervisor, monkeypatch, tmp_path: Path
) -> None:
    """A variable of this shell does not reach a service: what it has, its task definition gave it."""
    monkeypatch.setenv("DATABASE_HOST", "from-my-shell")
    row = Row("env", "task")
    await supervisor.run_once(spec("env", "import os; print(sorted(os.environ))"), row)
    text = (tmp_path / "logs" / "env.log").read_text()
    assert "DATABASE_HOST" not in text
    assert "'SERVICE'" in text


async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the supervisor leaves no child behind."""
    program = f"""
import asyncio, pathlib
from lab.run.process import Spec
from lab.run.supervisor import Supervisor
async def main():
    s = Supervisor(pathlib.Path({str(tmp_path)!r}))
    one = s.add(Spec("one", ["python", "-c", "import time; time.sleep(60)"], {{}}, pathlib.Path.cwd()))
    while one.row.pid is None: await asyncio.sleep(0.01)
    print(one.row.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen(  # noqa: ASYNC220  killed below, awaited in a thread
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))
    await asyncio.sleep(0.3)  # the child has asked the kernel by then
    assert alive(child)
    parent.kill()
    parent.communicate()
    await until(lambda: not alive(child))


def test_log_files_are_bounded(tmp_path: Path, monkeypatch) -> None:
    """Past its limit a log file moves aside once; two files are all it may take."""
    monkeypatch.setattr("lab.run.log.FILE_LIMIT_BYTES", 1000)
    log = ServiceLog("x", tmp_path / "x.log")
    for number in range(100):
        log.write(f"line {number} {'.' * 50}\n".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert "line 99" in (tmp_path / "x.log").read_text()


async def test_a_very_long_line_is_kept(supervisor: Supervisor) -> None:
    """A line above the limit becomes several lines; none of its bytes is lost and the next line follows."""
    row = Row("long", "task")
    await supervisor.run_once(spec("long", "print('a' * 300_000); print('next')"), row)
    text = (supervisor.logs / "long.log").read_text()
    assert text.count("a") == 300_000
    assert text.endswith("next\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"timestamp":"2026-11-23T10:11:12.345678Z","level":"info","event":"http.request","service":"api","ms":3}',
            "10:11:12.345 info http.request ms=3",
        ),
        ("plain \x1b]0;title\x07 words", "plain ]0;title words"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ('{"broken', '{"broken'),
        (
            '{"event":"metrics.sample","_aws":{"Timestamp":1},"Stack":"local","Open":2.0}',
            "metrics.sample Open=2.0",
        ),
        ('{"event":"x","why":"two words"}', 'x why="two words"'),
    ],
)
def test_log_lines_are_rendered_for_people(line: str, expected: str) -> None:
    """JSON logs become one short line, anything else stays as it is."""
    assert render(line) == expected
