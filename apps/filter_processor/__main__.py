"""`python -m apps.filter_processor`: the filter processor as PID 1 of its container."""

from __future__ import annotations

import sys

from apps.filter_processor.app import build
from apps.filter_processor.settings import FilterProcessorSettings
from apps.platform.serve import run

if __name__ == "__main__":
    sys.exit(run(build, FilterProcessorSettings))
