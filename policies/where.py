"""Slipway's policy pack as others install it: `pulumi preview --policy-pack "$(slipway-policies)"`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Print the folder that Pulumi is to be given."""
    sys.stdout.write(f"{Path(__file__).with_name('policies')}\n")
    return 0
