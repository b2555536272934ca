"""The servers a stack needs on one machine: PostgreSQL, Valkey, TLS before them, an AWS emulator."""

from __future__ import annotations

from lab.servers.emulator import Emulator
from lab.servers.endpoints import AwsEndpoint, PostgresServer, RedisServer
from lab.servers.postgres import EmbeddedPostgres
from lab.servers.state import State, default_home, wipe
from lab.servers.together import Servers
from lab.servers.valkey import EmbeddedValkey

__all__ = [
    "AwsEndpoint",
    "EmbeddedPostgres",
    "EmbeddedValkey",
    "Emulator",
    "PostgresServer",
    "RedisServer",
    "Servers",
    "State",
    "default_home",
    "wipe",
]
