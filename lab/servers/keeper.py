"""Keeps one server alive exactly as long as its starter: runs as a script, imports the standard library only.

The starter holds the write end of this process's stdin. When that end closes, for whatever reason (an orderly
stop, a crash, SIGKILL), the server is stopped with its own signal, then killed after a grace period. Should
this process be killed itself, the kernel signals the server (Linux). Output goes to a log of bounded size.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

LOG_LIMIT = 8 * 1024 * 1024
PR_SET_PDEATHSIG = 1


def start_time(pid: int) -> str | None:
    """What tells this process from a later one with the same id; None when there is no such process."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        if sys.platform == "linux":
            return None
        found = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return found.stdout.strip() or None
    return None if fields[0] == "Z" else fields[19]


class Log:
    """Appends to a file; past the limit the file becomes `<name>.1` and a new one begins."""

    def __init__(self, path: Path, limit: int = LOG_LIMIT) -> None:
        self.path = path
        self.limit = limit
        self._file = self._open()

    def _open(self) -> BinaryIO:
        opened = self.path.open("ab", buffering=0)
        self.path.chmod(0o600)
        return opened

    def write(self, data: bytes) -> None:
        """A full disk must not take the server down with its log: what cannot be written is dropped."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(data) > self.limit:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
                old, self._file = self._file, self._open()
                old.close()
            self._file.write(data)


def launch(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server as its own account, told by the kernel when this process is gone."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    keeper, stop_signal = os.getpid(), int(spec["stop_signal"])

    def before_exec() -> None:
        # after the change of account: the kernel forgets the wish when credentials change
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, stop_signal)
            if os.getppid() != keeper:
                os._exit(1)

    uid: int | None = spec["uid"]
    gid: int | None = spec["gid"]
    return subprocess.Popen(
        spec["command"],
        cwd=spec["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        umask=0o077,
        preexec_fn=before_exec,  # noqa: PLW1509 — this process has one thread
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )


def write_record(path: Path, child: int, stop_signal: int) -> None:
    """Who runs, for the next start to reap should all of this be killed."""
    me = os.getpid()
    record = {
        "keeper": me,
        "keeper_start": start_time(me),
        "child": child,
        "child_start": start_time(child),
        "stop_signal": stop_signal,
    }
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(record), encoding="utf-8")
    fresh.replace(path)


class Keeper:
    """The loop: copy output to the log, watch the starter, stop the server in two steps."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.log = Log(Path(spec["log"]))
        self.starter = int(spec["starter"])
        self.grace = float(spec["grace"])
        self.stop_signal = int(spec["stop_signal"])
        self.killed_at: float | None = None
        self.stop_asked = False
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self.noticed)
        signal.signal(signal.SIGTERM, self.ask_stop)
        signal.signal(signal.SIGINT, self.ask_stop)
        self.child = launch(spec)
        write_record(Path(spec["record"]), self.child.pid, self.stop_signal)
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, "starter")
        self.selector.register(wake_read, selectors.EVENT_READ, "wake")
        assert self.child.stdout is not None  # noqa: S101 — asked for a pipe above
        os.set_blocking(self.child.stdout.fileno(), False)
        self.selector.register(self.child.stdout, selectors.EVENT_READ, "output")

    def ask_stop(self, *_: object) -> None:
        """A signal to this process stops the server in order."""
        self.stop_asked = True

    def noticed(self, *_: object) -> None:
        """The wake-up descriptor ends the wait; the loop looks itself."""

    def run(self) -> int:
        """Until the server has ended; its exit status is ours."""
        while self.child.poll() is None:
            self.turn()
        self.drain()
        code = self.child.returncode
        return code if code >= 0 else 128 - code

    def turn(self) -> None:
        """One wait of at most a second."""
        for key, _ in self.selector.select(timeout=1.0):
            descriptor = key.fd
            with contextlib.suppress(BlockingIOError):
                data = os.read(descriptor, 65536)
                if key.data == "output" and data:
                    self.log.write(data)
                elif key.data == "starter" and not data:
                    self.stop_asked = True
                if not data:
                    self.selector.unregister(key.fileobj)
        if os.getppid() != self.starter:
            self.stop_asked = True
        if self.stop_asked:
            self.stop()

    def stop(self) -> None:
        """First the server's own signal, after the grace period SIGKILL."""
        now = time.monotonic()
        if self.killed_at is None:
            self.killed_at = now + self.grace
            self.child.send_signal(self.stop_signal)
        elif now > self.killed_at:
            self.child.kill()

    def drain(self) -> None:
        """The last words of a server say why it ended."""
        assert self.child.stdout is not None  # noqa: S101
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.child.stdout.fileno(), 65536):
                self.log.write(data)


def main() -> int:
    """Read the one argument, a JSON object that `lab.servers.process` writes."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    if os.getppid() != int(spec["starter"]):
        return 1
    return Keeper(spec).run()


if __name__ == "__main__":
    try:
        status = main()
    except OSError as problem:
        sys.stderr.write(f"{problem}\n")
        status = 127
    sys.exit(status)
