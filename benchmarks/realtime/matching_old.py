"""The old design's matching for `matching`: GEORADIUS and a GET per candidate, in Bun on a real Valkey."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.realtime import build
from benchmarks.realtime.machine import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Old:
    """CPU per update in microseconds, of the processor and of Valkey, and whom an update concerned."""

    processor: float
    valkey: float
    candidates: float
    matched: float

    @property
    def both(self) -> float:
        """What one update costs."""
        return self.processor + self.valkey


def measure(
    port: int,
    valkey: int,
    viewports: Sequence[Sequence[float]],
    points: Sequence[Sequence[float]],
    folder: Path,
    *,
    install: bool,
) -> Old:
    """Run it for three seconds; raises `build.MissingError` where Bun can't be had."""
    program = Path(build.old_design(install=install)[0])
    script = program.parents[2] / "matching.ts"
    shutil.copy2(build.HERE / "old" / "matching.ts", script)
    data = folder / "viewports.json"
    data.write_text(json.dumps({"viewports": viewports, "points": points}))
    with subprocess.Popen(
        [str(program), str(script), str(port), str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "loaded":
            raise build.MissingError("the old design did not start")
        begun = cpu_seconds(valkey)
        process.stdin.write("go\n")
        process.stdin.flush()
        found = json.loads(process.stdout.readline())
        server = cpu_seconds(valkey) - begun
    updates = found["updates"]
    return Old(
        found["cpu"] / updates * 1e6,
        server / updates * 1e6,
        found["candidates"] / updates,
        found["matched"] / updates,
    )
