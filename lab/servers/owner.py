"""Which account a server runs as, and folders that this account can reach.

PostgreSQL refuses to run as root. Root's servers run as `nobody`, which may not enter the project when that
lies below a folder of root's own (/root, a 0700 temporary folder); the state folder is closed to others.
The rights of a parent are never widened: their data lives in /var/lib/slipway/<hash of the state folder>, and
is dropped together with the rest by `wipe`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.servers.state import OUTSIDE, State, outside_folder

UNPRIVILEGED = "nobody"
SOCKET_PATH_LIMIT = 107
"""Bytes in a socket's path on Linux, less the zero at its end."""


@dataclass(frozen=True)
class Owner:
    """An account without rights."""

    uid: int
    gid: int


def server_owner() -> Owner | None:
    """None: this user is not root, and servers run as this user."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LabError(
            f"there is no account {UNPRIVILEGED!r} to run PostgreSQL as",
            cause="PostgreSQL refuses to run as root",
            hint="run as another user, or give servers by SLIPWAY_DATABASE_URL and SLIPWAY_REDIS_URL",
            code="no-account",
        ) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def reachable(path: Path, owner: Owner | None) -> bool:
    """Whether the account may enter every folder above the path."""
    if owner is None:
        return True
    for parent in path.resolve().parents:
        found = parent.stat()
        bit = stat.S_IXOTH
        if found.st_uid == owner.uid:
            bit = stat.S_IXUSR
        elif found.st_gid == owner.gid:
            bit = stat.S_IXGRP
        if not found.st_mode & bit:
            return False
    return True


def open_folder(path: Path) -> None:
    """Make a folder that others may enter but not list, whatever the umask."""
    if not path.exists():
        path.mkdir(exist_ok=True)
        path.chmod(0o711)


def outside(state: State) -> Path:
    """This state folder's place below /var/lib; an earlier state folder's is dropped."""
    place = outside_folder(state.home)
    mark = place / "id"
    told = f"{state.identity()}\n{state.home}\n"
    if place.exists() and (not mark.is_file() or mark.read_text(encoding="utf-8") != told):
        shutil.rmtree(place)
    open_folder(OUTSIDE)
    try:
        open_folder(place)
    except FileNotFoundError:  # another checkout's wipe found the folder empty in between
        open_folder(OUTSIDE)
        open_folder(place)
    mark.write_text(told, encoding="utf-8")
    return place


def orphans() -> list[tuple[Path, str]]:
    """Data below /var/lib whose state folder was deleted by hand, and where that folder was."""
    found: list[tuple[Path, str]] = []
    for mark in sorted(OUTSIDE.glob("*/id")):
        try:
            _, _, home = mark.read_text(encoding="utf-8").strip().partition("\n")
        except OSError:
            continue
        if home and not Path(home).exists():
            found.append((mark.parent, home))
    return found


def own_folder(state: State, name: str, owner: Owner | None) -> Path:
    """A folder of the server's own account, closed to all others."""
    if owner is None:
        return state.data(name)
    try:
        path = outside(state) / name
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, owner.uid, owner.gid)
        state.check_space(path)
    except OSError as problem:
        raise state.explain(problem) from problem
    return path


def socket_folder(state: State, owner: Owner | None, longest: str) -> Path:
    """Where servers put their sockets: a path short enough, in a folder that is theirs alone."""
    if owner is not None:
        return own_folder(state, "sockets", owner)
    if len(os.fsencode(state.run / longest)) <= SOCKET_PATH_LIMIT:
        return state.run
    digest = hashlib.sha256(str(state.home).encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{digest}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LabError(
            f"{path} is not a folder of this user alone",
            cause="the servers' sockets would be open to other users",
            hint=f"remove {path}, or set SLIPWAY_HOME to a shorter path",
            code="unsafe-folder",
        )
    return path


def hand_over(path: Path, owner: Owner | None) -> None:
    """Give one file to the server's account."""
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
