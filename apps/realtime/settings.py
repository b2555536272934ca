"""The gateway's app contract: the environment it needs, and the bounds an operator may turn."""

from __future__ import annotations

from pydantic import Field

from apps.platform.settings import (
    AuthSettings,
    DatabaseSettings,
    RedisSettings,
    ServiceSettings,
    ViewSettings,
)


class RealtimeSettings(ServiceSettings, DatabaseSettings, RedisSettings, AuthSettings, ViewSettings):
    """Required: the groups' fields; everything below has a default that suits a small deployment."""

    tick_milliseconds: int = Field(
        default=50, ge=0, le=1000, description="at most one frame per client and tick; 0: at once"
    )
    ping_interval_seconds: float = Field(
        default=25.0, gt=0, description="own heartbeat; below the load balancer's idle timeout"
    )
    identify_seconds: float = Field(default=10.0, gt=0, description="time for the first frame")
    max_connections: int = Field(default=10_000, ge=1, description="further ones are closed with 1013")
    connections_per_second: float = Field(
        default=1500.0, gt=0, description="handshakes taken, refilled; further ones are told when to return"
    )
    connection_burst: int = Field(default=3000, ge=1, description="handshakes taken at once")
    max_identifying: int = Field(
        default=1000, ge=1, description="connections not identified yet; further ones are told when to return"
    )
    max_message_bytes: int = Field(default=65_536, ge=1024, description="largest frame of a client")
    messages_per_second: float = Field(default=20.0, gt=0, description="refilled per client and second")
    message_burst: int = Field(default=100, ge=1, description="frames a client may send at once")
    max_pending_bytes: int = Field(
        default=262_144, ge=4096, description="unsent changes of one client; above: resync"
    )
    stall_seconds: float = Field(
        default=30.0, gt=0, description="a client that reads nothing is closed after"
    )
    resync_seconds: float = Field(default=2.0, ge=0, description="least time between two full snapshots")
    max_entities: int = Field(default=5000, ge=1, le=50_000, description="entities one client is shown")
    scan_limit: int = Field(default=20_000, ge=1, description="rows one snapshot may read before filtering")
    viewport_ttl_seconds: float = Field(
        default=30.0, ge=1, description="a registration nobody renews is dropped after"
    )
    active_seconds: float = Field(
        default=2.0, gt=0, description="wait for a processor before a snapshot is taken without one"
    )
    ring_bytes: int = Field(default=16_384, ge=0, description="sent frames kept per client for a resume")
    resume_seconds: float = Field(default=15.0, ge=0, description="a lost client's state is kept this long")
    max_detached: int = Field(default=2000, ge=0, description="lost clients kept at most; oldest leave first")
    presence_enabled: bool = Field(default=True, description="members of channels, for clients that ask")
    presence_seconds: float = Field(
        default=1.0, gt=0, le=60, description="joins and leaves of a channel are told at most this often"
    )
    presence_ttl_seconds: float = Field(
        default=15.0, ge=1, le=600, description="members on a gateway that died are gone after"
    )
    drain_batch: int = Field(default=500, ge=1, description="clients closed at once in a drain")
    drain_pause_milliseconds: int = Field(default=100, ge=0, description="between two batches of a drain")
    retry_milliseconds: int = Field(default=5000, ge=100, description="drained clients reconnect within")
