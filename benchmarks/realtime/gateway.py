"""The gateway beside the old design, a plain handler and the loopback limit: speed, latency, memory, faults.

Run: `python -m benchmarks.realtime.gateway [--quick] [--only WORD] [--rounds N] [--out FILE] [--docs]`.
Twelve minutes on a quiet machine with two cores; `--quick` is a part of it with 50 clients, to see that it
works. `--docs` writes docs/benchmarks/realtime.md and its pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.__main__ import commit
from benchmarks.__main__ import machine as this_machine
from benchmarks.realtime import figures, machine, report
from benchmarks.realtime.scenarios import SMOKE, Scale
from benchmarks.realtime.world import open_world


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run what is asked for and return all of it."""
    scale = SMOKE if arguments.quick else Scale()
    about = {"machine": this_machine(), "commit": commit()}

    def say(line: str) -> None:
        print(f"  {line}", file=sys.stderr, flush=True)

    async with open_world(install=not arguments.quick) as world:
        results = await figures.collect(
            world, scale, 1 if arguments.quick else arguments.rounds, arguments.only, say
        )
    lines = figures.table(results)
    return {
        **about,
        "quick": arguments.quick,
        "figures": [asdict(line) for line in lines],
        "records": results.records,
        "missing": results.missing,
    }


def main() -> None:
    """Print the table, write the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime.gateway")
    parser.add_argument("--quick", action="store_true", help="50 clients: does it work?")
    parser.add_argument("--only", default="", help="runs whose name holds this word")
    parser.add_argument("--rounds", type=int, default=1, help="how often candidates take turns")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/.cache/realtime.json"))
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks/realtime.md and pictures")
    arguments = parser.parse_args()
    machine.prepare()
    found = asyncio.run(measure(arguments))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1))
    print(report.text(found))
    if arguments.docs:
        report.write_docs(found)


if __name__ == "__main__":
    main()
