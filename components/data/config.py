"""What the data tier keeps and how large it is: pure data, checked against the limits AWS documents."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from components.budget.config import Email
from components.data.windows import DAILY, WEEKLY, overlap
from components.model import Model

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*[a-z0-9]$", max_length=24)]
Window = Annotated[str, StringConstraints(pattern=DAILY)]
WeeklyWindow = Annotated[str, StringConstraints(pattern=WEEKLY)]

#: gp3 on RDS for PostgreSQL: below this size IOPS and throughput are fixed at 3,000 and 125 MiB/s.
GP3_STRIPED_GB = 400
GP3_STRIPED_IOPS = 12_000


class DatabaseConfig(Model):
    """One RDS for PostgreSQL instance on gp3 storage; Multi-AZ follows the stack's availability.

    Limits: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html (gp3 sizes, IOPS,
    throughput), .../USER_PIOPS.Autoscaling.html (ceiling at least 10 % above the allocation),
    .../USER_WorkingWithAutomatedBackups.html (retention up to 35 days).
    """

    instance_class: str = Field(
        default="db.t4g.medium", pattern=r"^db\.[a-z0-9]+\.[0-9a-z]+$", description="Graviton by default"
    )
    engine_version: Literal["15", "16", "17", "18"] = Field(
        default="17",
        description="major version; AWS applies minors, and every one of these majors has pgvector",
    )
    storage_gb: int = Field(default=20, ge=20, le=65_536, description="allocated gp3 storage in GiB")
    max_storage_gb: int = Field(
        default=100,
        ge=22,
        le=65_536,
        description="storage autoscaling stops here: the cost ceiling of storage",
    )
    iops: int | None = Field(default=None, ge=GP3_STRIPED_IOPS, le=64_000)
    throughput: int | None = Field(default=None, ge=500, le=4_000, description="MiB/s")
    backup_retention_days: int = Field(
        default=7, ge=1, le=35, description="how far back a point-in-time restore can go"
    )
    backup_window: Window = "02:00-03:00"
    maintenance_window: WeeklyWindow = "sun:03:30-sun:04:30"
    performance_insights: bool = True
    performance_insights_days: int = Field(default=7, description="7 is free; else 31, 62, ... 713, or 731")
    monitoring_seconds: Literal[1, 5, 10, 15, 30, 60] = 60
    max_connections: int | None = Field(
        default=None, ge=20, le=5_000, description="none: RDS derives it from the instance's memory"
    )
    pool_size: int = Field(
        default=8, ge=1, le=200, description="connections of one task; those of all must fit (SLP-QUE-106)"
    )
    connections_alarm: int = Field(default=200, ge=1, le=5_000)
    slow_query_ms: int = Field(default=500, ge=0, description="statements slower than this are logged")
    name: str = Field(default="slipway", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    admin_username: str = Field(default="slipway_admin", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    app_username: str = Field(default="slipway_app", pattern=r"^[a-z][a-z0-9_]{0,62}$")
    port: int = Field(default=5432, ge=1150, le=65_535)

    @field_validator("admin_username", "app_username")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in {"postgres", "admin", "rdsadmin"} or value.startswith(("pg_", "rds")):
            raise ValueError(
                f"{value!r} is a name attackers try first or RDS reserves. hint: use e.g. slipway_admin"
            )
        return value

    @field_validator("performance_insights_days")
    @classmethod
    def _insights_retention(cls, value: int) -> int:
        if value not in (7, 731) and (value % 31 or not 31 <= value <= 713):
            raise ValueError(
                f"RDS keeps Performance Insights for 7, n x 31 (n 1..23) or 731 days, not {value}"
            )
        return value

    @model_validator(mode="after")
    def _storage(self) -> Self:
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError(
                f"max_storage_gb {self.max_storage_gb} leaves storage autoscaling no room: RDS wants at "
                f"least 10 % above storage_gb {self.storage_gb}. "
                f"hint: max_storage_gb: {-(-self.storage_gb * 11 // 10)}"
            )
        provisioned = [key for key in ("iops", "throughput") if getattr(self, key) is not None]
        if provisioned and self.storage_gb < GP3_STRIPED_GB:
            raise ValueError(
                f"{' and '.join(provisioned)} can't be set at storage_gb {self.storage_gb}: gp3 below "
                f"{GP3_STRIPED_GB} GiB always has 3000 IOPS and 125 MiB/s. hint: leave out "
                f"{' and '.join(provisioned)}, or storage_gb: {GP3_STRIPED_GB}"
            )
        if self.iops is not None and self.iops > 500 * self.storage_gb:
            raise ValueError(f"iops {self.iops} is above gp3's 500 per GiB (storage_gb {self.storage_gb})")
        if self.throughput is not None and self.throughput * 4 > (self.iops or GP3_STRIPED_IOPS):
            raise ValueError(
                f"throughput {self.throughput} MiB/s needs at least {self.throughput * 4} IOPS (gp3: a "
                f"quarter MiB/s per IOPS). hint: iops: {self.throughput * 4}"
            )
        return self

    @model_validator(mode="after")
    def _windows(self) -> Self:
        if overlap(self.backup_window, self.maintenance_window):
            raise ValueError(
                f"backup_window {self.backup_window} overlaps maintenance_window "
                f"{self.maintenance_window}; RDS refuses that. hint: move one of them by an hour"
            )
        return self


class CacheConfig(Model):
    """One ElastiCache for Valkey replication group, cluster mode off: pub/sub and streams on one shard.

    Limits: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Replication.html (0 to 5 replicas),
    .../ParameterGroups.Engine.html (the pub/sub output buffer, 32 MiB hard and 8 MiB for 60 s by default).
    """

    node_type: str = Field(default="cache.t4g.small", pattern=r"^cache\.[a-z0-9]+\.[0-9a-z]+$")
    engine_version: Literal["7.2", "8.0", "8.1", "8.2"] = Field(
        default="8.1",
        description="follow AWS when it has upgraded the minor itself: an older one is a replacement",
    )
    replicas: int | None = Field(
        default=None, ge=0, le=5, description="none: by availability, 0 for pilot and 1 for ha"
    )
    snapshot_retention_days: int = Field(default=7, ge=0, le=35)
    snapshot_window: Window = "02:00-03:00"
    maintenance_window: WeeklyWindow = "sun:03:30-sun:04:30"
    pubsub_buffer_mib: int = Field(
        default=256,
        ge=32,
        le=4_096,
        description="one gateway's bus may lag this far before Valkey closes it, with every user on it",
    )
    port: int = Field(default=6379, ge=1024, le=65_535)

    @field_validator("node_type")
    @classmethod
    def _can_snapshot(cls, value: str) -> str:
        if re.match(r"cache\.(t1|m1|m2|c1)\.", value):
            raise ValueError(f"{value} is a retired node type without encryption. hint: cache.t4g.small")
        return value

    @model_validator(mode="after")
    def _windows(self) -> Self:
        if overlap(self.snapshot_window, self.maintenance_window):
            raise ValueError(
                f"snapshot_window {self.snapshot_window} overlaps maintenance_window "
                f"{self.maintenance_window}; ElastiCache refuses that. hint: move one of them by an hour"
            )
        return self


class BucketConfig(Model):
    """One private, KMS-encrypted S3 bucket; objects get cheaper with age.

    S3 moves nothing to Standard-IA before 30 days and bills 128 KiB for smaller objects there:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
    """

    lifecycle: Literal["ia_after_30_days", "intelligent_tiering"] = "intelligent_tiering"
    versioning: bool = True
    noncurrent_days: int = Field(default=30, ge=1, le=3_650, description="how long replaced versions stay")
    expire_days: int | None = Field(default=None, ge=1, le=3_650, description="none: objects stay")

    @model_validator(mode="after")
    def _expiry_after_transition(self) -> Self:
        if self.lifecycle == "ia_after_30_days" and self.expire_days is not None and self.expire_days <= 30:
            raise ValueError(
                f"expire_days {self.expire_days} comes before the move to Standard-IA at 30 days, which "
                "would then never happen. hint: lifecycle: intelligent_tiering, or expire_days above 30"
            )
        return self


class AlarmsConfig(Model):
    """Who is mailed when an alarm fires; each address confirms its subscription once."""

    emails: tuple[Email, ...] = Field(default=(), max_length=10)


class DataConfig(Model):
    """The data tier of a stack."""

    database: DatabaseConfig = DatabaseConfig()
    cache: CacheConfig = CacheConfig()
    buckets: dict[Slug, BucketConfig] = Field(default_factory=dict, max_length=50)
    secrets: tuple[Slug, ...] = Field(
        default=(), description="Secrets Manager secrets made empty; their values are put by an operator"
    )
    alarms: AlarmsConfig = AlarmsConfig()

    @field_validator("secrets")
    @classmethod
    def _unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"secret {', '.join(twice)} is listed twice")
        return value

    @field_validator("buckets")
    @classmethod
    def _not_ours(cls, value: dict[str, BucketConfig]) -> dict[str, BucketConfig]:
        if "logs" in value:
            raise ValueError("bucket 'logs' is the tier's own log bucket. hint: choose another name")
        return value
