"""The migration task's app contract: where the database is, and whose credentials it starts from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class MigrationsSettings(BaseSettings):
    """A one-off task: it listens nowhere, so it has none of a service's fields."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    stack: str
    service: str
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    aws_region: str
    database_host: str
    database_port: int = 5432
    database_name: str
    database_ca_file: str = Field(description="PEM bundle: the RDS global bundle on AWS")
    database_admin_secret_arn: str = Field(
        description='secret holding {"username", "password"}; read at each start, so rotation is safe'
    )
    database_app_username: str = "slipway_app"
    database_app_password: SecretStr
    lock_timeout_seconds: float = Field(
        default=600.0, gt=0, description="how long to wait for another migration to finish"
    )
