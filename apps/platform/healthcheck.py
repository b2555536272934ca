"""The container's health check: `python -m apps.platform.healthcheck` asks this process's own `/health`."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Exit 0 when `/health` answers 200, 1 otherwise; standard library only, so that it starts fast."""
    port = int(os.environ.get("PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace")
    except OSError as error:
        sys.stderr.write(f"port {port} does not answer: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status != http.client.OK:
        sys.stderr.write(f"/health answered {answer.status}: {body}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
