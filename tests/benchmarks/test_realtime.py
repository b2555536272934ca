"""The realtime benchmark still runs: a figure nobody can repeat is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_gateway_benchmark_runs_the_real_servers_and_says_what_it_left_out(tmp_path: Path) -> None:
    """Fifty clients on each candidate lose nothing, and a baseline that is not to be had here is named."""
    out = tmp_path / "realtime.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.realtime.gateway", "--quick", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())
    for name in ("frames 1000 old", "frames 1000 plain", "frames 1000 gateway", "frames 1000 limit"):
        if name in found["missing"]:
            assert "gateway" not in name, "our own is always to be had"
            assert found["missing"][name] in done.stderr
            continue
        (record,) = found["records"][name]
        assert record["clients"] == 50
        assert record["lost"] == 0, record
        assert record["delivered"] > 0, record
    assert found["figures"][0]["values"]["gateway"]["median"] > 0
    assert "user messages per gateway core-second" in done.stdout
