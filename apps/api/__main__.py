"""`python -m apps.api`: the API as a process."""

from __future__ import annotations

import sys

from apps.api.app import build
from apps.api.settings import ApiSettings
from apps.platform.serve import run

if __name__ == "__main__":
    sys.exit(run(build, ApiSettings))
