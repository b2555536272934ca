"""Builds what is not Python: two C programs with gcc, the old design's packages with npm; kept in a cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = HERE.parent / ".cache"
_NPM_SECONDS: Final = 180


class MissingError(Exception):
    """A program that a baseline needs is not to be had here; the message says which."""


def native(name: str) -> Path:
    """Compile `native/<name>/*.c` once per content."""
    sources = sorted((HERE / "native" / name).glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    program = CACHE / f"{name}-{digest}"
    if program.exists():
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingError("no C compiler (gcc)")
    CACHE.mkdir(exist_ok=True)
    fresh = program.with_suffix(".new")
    files = [str(source) for source in sources if source.suffix == ".c"]
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(fresh), *files], check=True)
    fresh.replace(program)
    return program


def old_design(*, install: bool) -> list[str]:
    """Return the command of the old design: Bun and ioredis from npm, in versions that are written down."""
    folder = CACHE / "old"
    bun = folder / "node_modules" / ".bin" / "bun"
    wanted = (HERE / "old" / "package.json").read_text()
    manifest = folder / "package.json"
    if not bun.exists() or not manifest.exists() or manifest.read_text() != wanted:
        if not install:
            raise MissingError("Bun is not here yet: `make bench` gets it from npm")
        npm = shutil.which("npm")
        if npm is None:
            raise MissingError("no npm to get Bun with")
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write_text(wanted)
        done = subprocess.run(
            # Bun's own install step puts the binary in place
            [npm, "install", "--no-audit", "--no-fund", "--foreground-scripts", "--silent"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
            check=False,
        )
        if done.returncode or not bun.exists():
            manifest.unlink()
            raise MissingError(f"npm could not install Bun: {done.stderr.strip()[-200:]}")
    shutil.copy2(HERE / "old" / "server.ts", folder / "server.ts")
    if subprocess.run([bun, "--version"], capture_output=True, check=False).returncode:
        raise MissingError("Bun does not run on this machine")
    return [str(bun), str(folder / "server.ts")]
