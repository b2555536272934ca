"""`python -m lab.replay` is `slipway replay`."""

from __future__ import annotations

import sys

from lab.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["replay", *sys.argv[1:]]))
