"""`python -m benchmarks [NAME ...]` runs the named measurements, or all; `--list` says which there are.

The machine and the commit come first: a figure without them says nothing.
"""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent


def found() -> dict[str, str]:
    """Every measurement (a module below this folder with a `main`) and its first line about itself."""
    names: dict[str, str] = {}
    for file in sorted(ROOT.glob("*/**/*.py")):
        tree = ast.parse(file.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            names[name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return names


def machine() -> str:
    """Processor, cores, memory, Python."""
    processor = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        named = (
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        )
        processor = next(named, processor)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.1f} GiB, load {load:.1f}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """The commit, and whether the tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def main(arguments: list[str]) -> int:
    """Run what is asked for, each in a process of its own; returns the number of failures."""
    known = found()
    if arguments == ["--list"]:
        for name, what in known.items():
            print(f"{name:24} {what}")
        return 0
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}. hint: choose of {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"machine  {machine()}\ncommit   {commit()}", flush=True)
    failed = 0
    for name in arguments or known:
        print(f"{name}: ", end="", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
