"""The filter processor's app contract: the environment it needs, and the bounds an operator may turn."""

from __future__ import annotations

from pydantic import Field

from apps.platform.settings import DatabaseSettings, RedisSettings, ServiceSettings, ViewSettings


class FilterProcessorSettings(ServiceSettings, DatabaseSettings, RedisSettings, ViewSettings):
    """Required: the groups' fields; everything below has a default that suits a small deployment."""

    tick_milliseconds: int = Field(
        default=50, ge=0, le=1000, description="at most one read and one publish per tick; 0: at once"
    )
    lease_seconds: float = Field(
        default=5.0, ge=0.5, description="a shard whose processor died is taken over after"
    )
    stream_batch: int = Field(
        default=500, ge=1, le=10_000, description="changes read from the stream at once"
    )
    grid_viewports: int = Field(
        default=50_000, ge=0, description="above so many a grid of cells replaces the scan of all"
    )
    max_affected: int = Field(
        default=5000,
        ge=1,
        description="sessions one change is delivered to at once; above: conflated to the slow tick",
    )
    conflate_milliseconds: int = Field(
        default=1000, ge=50, le=60_000, description="the slow tick: newest version of what was conflated"
    )
    conflate_deliveries: int = Field(
        default=200_000, ge=1, description="deliveries of one slow tick; the rest waits for the next"
    )
    max_outgoing_bytes: int = Field(
        default=8_388_608, ge=65_536, description="unpublished deliveries; above, reading waits"
    )
    max_tombstones: int = Field(
        default=100_000, ge=0, description="deleted entities remembered against late older changes"
    )
    catch_up_seconds: float = Field(
        default=60.0, ge=1, description="read again from PostgreSQL before the point of a gap"
    )
