"""The API's app contract: the environment it needs, and the limits an operator may turn."""

from __future__ import annotations

from pydantic import Field

from apps.platform.settings import AuthSettings, DatabaseSettings, RedisSettings, ServiceSettings


class ApiSettings(ServiceSettings, DatabaseSettings, RedisSettings, AuthSettings):
    """Required: the groups' fields; everything below has a default that suits a small deployment."""

    max_body_bytes: int = Field(default=2_097_152, ge=1024, description="largest request body")
    read_rate_per_second: float = Field(default=50.0, gt=0, description="reads refilled per user and second")
    read_burst: int = Field(default=200, ge=1, description="reads a user may make at once")
    write_rate_per_second: float = Field(
        default=2000.0, gt=0, description="entities refilled per user and second; a bulk counts each entity"
    )
    write_burst: int = Field(default=10_000, ge=1000, description="entities a user may write at once")
    message_rate_per_second: float = Field(
        default=20.0, gt=0, description="messages refilled per sender and second"
    )
    message_burst: int = Field(default=200, ge=1, description="messages one may send at once")
    snapshot_limit: int = Field(default=5000, ge=1, le=20_000, description="most entities in one snapshot")
    console_enabled: bool = Field(default=True, description="serve the console's page at /")
    outbox_batch: int = Field(default=500, ge=1, le=5000, description="outbox rows relayed per transaction")
    outbox_poll_seconds: float = Field(
        default=1.0, gt=0, le=60, description="relay's look at the outbox when no notification came"
    )
