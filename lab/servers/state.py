"""The `.slipway` folder: its layout, its version, who holds it, room on the disk, and how it is dropped."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from lab.errors import LabError

if TYPE_CHECKING:
    from types import TracebackType

VERSION = 1
MIN_FREE_BYTES = 512 * 1024 * 1024
"""initdb writes 40 MB, the write-ahead log up to 256 MB, logs and queues the rest."""
LOOK_SECONDS = 0.3
"""How long a lock may be somebody's short look rather than a running stack."""
WIPE_HINT = "run `slipway down --wipe` to start with empty state"
OUTSIDE = Path("/var/lib/slipway")
"""Where servers of root keep their data when the project lies in a folder that only root may enter."""


def default_home(root: Path) -> Path:
    """`SLIPWAY_HOME` when given, else `.slipway` in the project."""
    given = os.environ.get("SLIPWAY_HOME", "").strip()
    return Path(given).expanduser().resolve() if given else root.resolve() / ".slipway"


def disk_full(path: Path, free: int | None = None) -> LabError:
    """The one error for a disk without room, found before or during a start."""
    left = "no space left" if free is None else f"{free // 1_048_576} MiB free"
    return LabError(
        f"the disk of {path} is full: {left}, {MIN_FREE_BYTES // 1_048_576} MiB needed",
        cause="PostgreSQL, Valkey and the emulator keep their data there",
        hint="free some space, or set SLIPWAY_HOME to a folder on a larger disk",
        code="disk-full",
    )


def outside_folder(home: Path) -> Path:
    """The folder below /var/lib that belongs to this state folder."""
    return OUTSIDE / hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]


class State:
    """One holder at a time; a second `up` is told who holds it."""

    def __init__(self, home: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.home = home.resolve()
        self.min_free_bytes = min_free_bytes
        self._lock: IO[str] | None = None

    @property
    def run(self) -> Path:
        """Process records, ports and logs: nothing here outlives its meaning."""
        return self._folder("run")

    @property
    def ca(self) -> Path:
        """The certificate authority of the TLS front and its certificates."""
        return self._folder("ca")

    def data(self, name: str) -> Path:
        """A server's own data folder."""
        return self._folder(f"state/{name}")

    def _folder(self, name: str) -> Path:
        path = self.home / name
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise self.explain(problem) from problem
        return path

    def explain(self, problem: OSError) -> LabError:
        """Turn what the system said about our folder into an error with a way out."""
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            return disk_full(self.home)
        return LabError(
            f"the state folder {self.home} cannot be used",
            cause=str(problem),
            hint="give the folder to this user, or set SLIPWAY_HOME to one that can be written",
            code="state-unusable",
        )

    def open(self) -> Self:
        """Take the lock, then check version and room."""
        self.lock()
        try:
            self.check_version()
            self._begin()
            self.check_space(self.home)
        except BaseException:
            self.close()
            raise
        return self

    def lock(self) -> None:
        """Hold the folder until `close`, or until this process ends in whatever way."""
        if self._lock is not None:
            return
        path = self._folder(".") / "lock"
        try:
            handle = path.open("a+", encoding="utf-8")
        except OSError as problem:
            raise self.explain(problem) from problem
        # `held` takes the lock for a moment to look: that must not make a start fail
        until = time.monotonic() + LOOK_SECONDS
        while not _taken(handle):
            if time.monotonic() > until:
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                handle.close()
                raise LabError(
                    f"the state folder {self.home} is in use",
                    cause=f"process {holder} holds it",
                    hint="run `slipway down` first, or set SLIPWAY_HOME to another folder",
                    code="state-in-use",
                )
            time.sleep(0.02)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle

    def check_version(self) -> None:
        """Data of another version is neither read nor touched."""
        path = self.home / "version"
        try:
            found = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if any((self.home / "state").glob("*/*")):
                raise self._wrong_version("without a version") from None
            return
        except OSError as problem:
            raise self.explain(problem) from problem
        if found != str(VERSION):
            raise self._wrong_version(f"of version {found[:20]!r}")

    def _begin(self) -> None:
        try:
            if not (self.home / "version").exists():
                write_private(self.home / "version", f"{VERSION}\n")
        except OSError as problem:
            raise self.explain(problem) from problem

    def _wrong_version(self, found: str) -> LabError:
        return LabError(
            f"the state folder {self.home} is {found}, this checkout needs version {VERSION}",
            cause="it was written by another version of slipway, and its servers' data cannot be read safely",
            hint=WIPE_HINT,
            code="state-version",
        )

    def check_space(self, path: Path) -> None:
        """No server is started on a disk that is about to be full: half a start is harder to mend."""
        try:
            free = shutil.disk_usage(path).free
        except OSError as problem:
            raise self.explain(problem) from problem
        if free < self.min_free_bytes:
            raise disk_full(path, free)

    def identity(self) -> str:
        """Tells this folder from an earlier one at the same path, so that data outside is never mixed up."""
        path = self.home / "id"
        if not path.is_file():
            path.write_text(secrets.token_hex(8), encoding="utf-8")
        return path.read_text(encoding="utf-8")

    def secret(self, name: str) -> str:
        """A password made once, kept beside the data it opens, readable for this user only."""
        path = self.data("secrets") / name
        if not path.is_file():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text(encoding="utf-8")

    def close(self) -> None:
        """Let the next one in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_private(path: Path, text: str) -> None:
    """Never readable by others, not even for a moment, and never half written."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    fresh.replace(path)


def _taken(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held(home: Path) -> bool:
    """Whether a running stack holds this state folder."""
    try:
        with (home / "lock").open("r", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def wipe(home: Path) -> list[Path]:
    """Drop the data of all servers together; returns what was removed. A folder in use is refused."""
    from lab.servers.process import reap  # noqa: PLC0415 — process needs this module

    if not home.exists():
        return []
    state = State(home)
    state.lock()
    removed: list[Path] = []
    try:
        reap(state)
        outside = [outside_folder(state.home)] if os.geteuid() == 0 else []
        for path in (*outside, *(state.home / name for name in ("state", "run", "ca", "version", "id"))):
            if path.exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed.append(path)
        with contextlib.suppress(OSError):
            OUTSIDE.rmdir()  # when it holds no other checkout's
    except OSError as problem:
        raise state.explain(problem) from problem
    finally:
        state.close()
    return removed
