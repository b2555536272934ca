"""The fixtures every test may ask for; none of them imports `lab` before it is asked for."""

from __future__ import annotations

from tests.servers import aws_endpoint, database, issuer, postgres, postgres_template, redis_server, valkey

__all__ = ["aws_endpoint", "database", "issuer", "postgres", "postgres_template", "redis_server", "valkey"]
