"""The environment as typed settings: each app composes the groups it needs, and that is its contract.

`components.contract` reads the same classes at synth: every required field must come from a link or a
literal, and no variable may be set that no field reads. Field names in upper case are the variable names.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every process is told: who it is, where it listens, how long it may take to drain."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    stack: str
    service: str
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    bind_host: str = Field(default="127.0.0.1", description="0.0.0.0 only inside a container")
    port: int = Field(default=8000, ge=0, le=65535)
    drain_seconds: float = Field(default=20.0, gt=0, description="from SIGTERM to the last close frame")
    shutdown_seconds: float = Field(default=25.0, gt=0, description="hard deadline; below ECS stopTimeout")
    keep_alive_seconds: float = Field(
        default=75.0, gt=0, description="above the load balancer's idle timeout"
    )


class DatabaseSettings(BaseSettings):
    """PostgreSQL, always over TLS with the server's name checked (libpq `sslmode=verify-full`)."""

    database_host: str
    database_port: int = 5432
    database_name: str
    database_username: str
    database_password: SecretStr
    database_ca_file: str = Field(description="PEM bundle: the RDS global bundle on AWS")
    database_pool_size: int = Field(default=8, ge=1, le=200)


class RedisSettings(BaseSettings):
    """A Redis-protocol server (Valkey), always over TLS and with a password."""

    redis_host: str
    redis_port: int = 6379
    redis_password: SecretStr
    redis_ca_file: str | None = Field(default=None, description="PEM bundle; none: the system's")


class AuthSettings(BaseSettings):
    """Any OIDC issuer: tokens are verified against its keys, issuer and audience."""

    auth_issuer: str
    auth_audience: str
    auth_jwks_url: str
