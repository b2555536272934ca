"""The fixtures every test may ask for; none of them imports `lab` before it is asked for."""

from __future__ import annotations

import signal

from tests.servers import aws_endpoint, database, issuer, postgres, postgres_template, redis_server, valkey

__all__ = ["aws_endpoint", "database", "issuer", "postgres", "postgres_template", "redis_server", "valkey"]

# A shell ignores SIGINT for what it runs in the background, and children inherit that: Ctrl-C tests would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
