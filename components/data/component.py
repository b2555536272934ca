"""The data tier: what a stack must not lose, and the alarms that guard it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.base import Component
from components.data.alarms import AlarmTopic
from components.data.buckets import Bucket, LogBucket
from components.data.cache import Cache
from components.data.database import Database
from components.data.secrets import Secret

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.data.config import DataConfig
    from components.key import Key
    from components.network.component import Network


class DataTier(Component):
    """PostgreSQL, Valkey, buckets and secrets in isolated subnets, under one key.

    `lifecycle: retained` protects them, keeps final snapshots and the longest recovery windows; `disposable`
    lets `pulumi destroy` take everything and `pulumi up` make it again under the same names.
    """

    def __init__(
        self,
        name: str,
        config: DataConfig,
        *,
        ctx: Context,
        network: Network,
        key: Key,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`network` gives the isolated subnets; `key` encrypts it all; it serves logs and cloudwatch."""
        super().__init__("data:DataTier", name, ctx, tier="data", opts=opts)
        inside = self.child()
        self.key = key
        self.alarms = AlarmTopic("alarms", config.alarms, ctx=ctx, key=self.key, opts=inside)
        self.logs = LogBucket("logs", ctx=ctx, opts=inside)
        self.database = Database(
            "database",
            config.database,
            ctx=ctx,
            network=network,
            key=self.key,
            alarms=self.alarms,
            opts=inside,
        )
        self.cache = Cache(
            "cache", config.cache, ctx=ctx, network=network, key=self.key, alarms=self.alarms, opts=inside
        )
        self.buckets = {
            bucket: Bucket(bucket, each, ctx=ctx, key=self.key, logs=self.logs, opts=inside)
            for bucket, each in config.buckets.items()
        }
        self.secrets = {
            secret: Secret(secret, ctx=ctx, key=self.key, opts=inside) for secret in config.secrets
        }
        self.restore_command: pulumi.Output[str] = self.database.restore_command
        self.register_outputs(
            {
                "database_identifier": self.database.identifier,
                "cache_identifier": self.cache.identifier,
                "restore_command": self.restore_command,
            }
        )
