"""`python -m apps.realtime`: the websocket gateway as PID 1 of its container."""

from __future__ import annotations

import sys

from apps.platform.serve import run
from apps.realtime.app import build
from apps.realtime.settings import RealtimeSettings

if __name__ == "__main__":
    sys.exit(run(build, RealtimeSettings))
