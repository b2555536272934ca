"""`up --detach`, `wait` and `down`: a running stack seen from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import EXIT_FINDINGS, EXIT_OK, EXIT_TIMEOUT, LabError
from lab.run.home import StatusFile, stack_home
from lab.run.progress import table
from lab.servers.keeper import start_time
from lab.servers.state import State, held, wipe

if TYPE_CHECKING:
    from lab.output import Output
    from lab.run.stack import Options

POLL_SECONDS = 0.1
DOWN_SECONDS = 90.0
WAIT_SECONDS = 180.0


def up(options: Options, words: list[str], output: Output) -> int:
    """Start the same command in a session of its own, and return when it serves or has failed."""
    status = StatusFile(stack_home(options.root, options.stack))
    if held(status.home):
        running = status.running() or {}
        raise LabError(
            f"stack {options.stack!r} runs already",
            cause=f"process {running.get('pid')} holds {status.home}",
            hint="slipway ps, or slipway down",
            code="state-in-use",
        )
    # what is wrong with the folder is told here and now; it is closed to others from its first moment
    with State(status.home) as folder:
        status.path.unlink(missing_ok=True)
        log = folder.run / "up.log"
    # quiet: services write logs of their own, of bounded size
    words = [*words, "--quiet", "--no-progress", "--no-color"]
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=options.root,
            start_new_session=True,
        )
    deadline = time.monotonic() + options.ready_seconds + 30
    while time.monotonic() < deadline:
        document = status.read() or {}
        if document.get("phase") == "ready":
            return _serves(document, output)
        if child.poll() is not None:
            raise _failed(document, log, child.returncode)
        time.sleep(POLL_SECONDS)
    child.send_signal(signal.SIGTERM)
    raise LabError(
        f"stack {options.stack!r} did not serve in time", cause=_tail(log), hint=f"read {log}",
        code="not-ready", exit_code=EXIT_TIMEOUT,
    )  # fmt: skip


def wait(status: StatusFile, stack: str, seconds: float | None, output: Output) -> int:
    """Until the running stack serves."""
    deadline = time.monotonic() + (seconds or WAIT_SECONDS)
    while True:
        document = status.required(stack)
        if document["phase"] == "ready" and not document.get("late"):
            return _serves(document, output)
        if document["phase"] in {"failed", "stopping"}:
            raise _failed(document, status.home / "run" / "up.log", EXIT_FINDINGS)
        if time.monotonic() > deadline:
            late = "\n".join(f"{name}: {why}" for name, why in document.get("late", {}).items())
            raise LabError(
                f"stack {stack!r} does not serve within {seconds or WAIT_SECONDS:g} s",
                cause=late or None,
                hint="slipway ps, or slipway logs NAME",
                code="not-ready",
                exit_code=EXIT_TIMEOUT,
            )
        time.sleep(POLL_SECONDS)


def down(status: StatusFile, stack: str, seconds: float | None, output: Output, *, drop: bool) -> int:
    """Ask the running `up` to stop, wait until it has, and with `drop` remove the state."""
    stopped = False
    if held(status.home):
        pid = (status.running() or {}).get("pid")
        born = start_time(pid) if isinstance(pid, int) else None
        if isinstance(pid, int):
            output.say(f"stopping stack {stack!r} (pid {pid})")
            _signal(pid)
        # the state folder is free a moment before the process has ended: `down` leaves neither
        _until(
            lambda: (
                not held(status.home)
                and (not isinstance(pid, int) or start_time(pid) != born or born is None)
            ),
            stack,
            seconds or DOWN_SECONDS,
        )
        stopped = True
    removed = wipe(status.home) if drop else []
    words = ["stopped" if stopped else "nothing was running"]
    if drop:
        words.append(f"state removed from {status.home}" if removed else "there was no state")
    elif status.home.exists():
        words.append("state kept (slipway down --wipe drops it)")
    output.data(
        {"stack": stack, "stopped": stopped, "removed": [str(path) for path in removed]}, "; ".join(words)
    )
    return EXIT_OK


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LabError(
            f"pid {pid} runs the stack and cannot be stopped by this user",
            cause=str(error),
            hint=f"run slipway down as the user of pid {pid}",
            code="not-permitted",
        ) from error


def _until(ended: Callable[[], bool], stack: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ended():
        if time.monotonic() > deadline:
            raise LabError(
                f"stack {stack!r} has not stopped within {seconds:g} s",
                cause="a process still drains",
                hint="slipway down once more kills what is left",
                code="not-stopped",
                exit_code=EXIT_TIMEOUT,
            )
        time.sleep(POLL_SECONDS)


def _serves(document: dict[str, Any], output: Output) -> int:
    rows = document["rows"]
    text = f"{table(rows, output)}\n\n{document['url']}  (ready in {document['seconds']:g} s)"
    output.data({"url": document["url"], "pid": document["pid"], "rows": rows}, text)
    return EXIT_OK


def _failed(document: dict[str, Any], log: Path, code: int) -> LabError:
    error: dict[str, Any] = document.get("error") or {}
    return LabError(
        error.get("message") or "the stack has ended",
        cause=error.get("cause") or (None if error else _tail(log)),
        hint=error.get("hint") or f"read {log}",
        code=error.get("code") or "ended",
        exit_code=code if code > 0 else EXIT_FINDINGS,
    )


def _tail(log: Path) -> str | None:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]) or None
    except OSError:
        return None
