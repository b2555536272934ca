"""`python -m apps.console.build`: makes dist/ with the Node found here, if a source has changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from apps.console.node import Node, NodeError, find_node

FOLDER = Path(__file__).parent
DIST = FOLDER / "dist"
STAMP = ".built-from"
CLIENT = FOLDER.parent / "client" / "js"
_INPUTS = ("package.json", "package-lock.json", ".npmrc", "build.mjs")


class BuildError(Exception):
    """The page could not be built; the text says why and what to do."""


def fingerprint(folder: Path = FOLDER, client: Path = CLIENT) -> str:
    """A hash over everything that the build reads."""
    digest = hashlib.sha256()
    sources = [folder / name for name in _INPUTS]
    sources += sorted(path for path in (folder / "src").rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in sources}
    named |= {f"client/{path.name}": path for path in sorted(client.glob("*.js"))}
    for name, path in named.items():
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def current(dist: Path = DIST) -> bool:
    """Whether dist/ is what the sources make."""
    try:
        return (dist / STAMP).read_text(encoding="ascii").strip() == fingerprint()
    except FileNotFoundError:
        return False


def build() -> bool:
    """Build if anything changed; returns whether it did. Two at once take turns."""
    if current():
        return False
    with (FOLDER / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return not current() and _build()


def _build() -> bool:
    wanted = fingerprint()
    node = find_node()
    if not _modules_current():
        _npm(node, "ci", "--no-progress", "--loglevel=error")
        _stamp_modules()
    fresh = DIST.with_name(f"dist.{os.getpid()}")
    try:
        _npm(node, "run", "--silent", "build", SLIPWAY_CONSOLE_OUT=str(fresh))
        (fresh / STAMP).write_text(wanted + "\n", encoding="ascii")
        _swap(fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def _swap(fresh: Path) -> None:
    old = DIST.with_name(f"dist.{os.getpid()}.old")
    if DIST.exists():
        DIST.rename(old)
    fresh.rename(DIST)
    shutil.rmtree(old, ignore_errors=True)


def _modules_stamp() -> tuple[Path, str]:
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    return FOLDER / "node_modules" / ".installed-from", lock


def _modules_current() -> bool:
    path, lock = _modules_stamp()
    return path.is_file() and path.read_text(encoding="ascii") == lock


def _stamp_modules() -> None:
    path, lock = _modules_stamp()
    path.write_text(lock, encoding="ascii")


def _npm(node: Node, *words: str, **more: str) -> None:
    done = subprocess.run(
        [*node.npm, *words],
        cwd=FOLDER,
        # npm would leave its compiled code in the machine's /tmp
        env={**node.environment(), "NODE_DISABLE_COMPILE_CACHE": "1", **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-8:])
        raise BuildError(
            f"`npm {' '.join(words)}` in apps/console failed ({done.returncode})\n{tail}\n"
            "hint: check that npm's registry can be reached, then run `make console` again"
        )


def main() -> int:
    """Build, and say so in one line."""
    try:
        built = build()
    except (BuildError, NodeError) as error:
        sys.stderr.write(f"error: the console was not built: {error}\n")
        return 1
    if built:
        sys.stderr.write("console: built into apps/console/dist\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
