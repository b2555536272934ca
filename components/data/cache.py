"""ElastiCache for Valkey: the bus between apps, TLS and AUTH required, a replica where one zone may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from components.base import Component
from components.data.parameters import SecureParameter, generated_password
from components.links import Ingress, Link
from components.names import LIMITS

if TYPE_CHECKING:
    import pulumi

    from components.base import Context
    from components.data.alarms import AlarmTopic
    from components.data.config import CacheConfig
    from components.key import Key
    from components.network.component import Network

_MIB = 1024 * 1024


class Cache(Component):
    """One replication group in cluster mode off: streams, leases and pub/sub share one shard's order.

    What matters about its parameters: a pub/sub subscriber that lags 32 MiB (or 8 MiB for a minute) is cut by
    default, and one gateway's subscriber carries all of its users, so that limit is raised; and nothing is
    evicted, because a lease or a registered viewport that vanishes is worse than a refused write.

    Sources: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/in-transit-encryption.html, .../auth.html
    (token of 16 to 128 characters), .../ParameterGroups.Engine.html, .../AutoFailover.html
    """

    def __init__(
        self,
        name: str,
        config: CacheConfig,
        *,
        ctx: Context,
        network: Network,
        key: Key,
        alarms: AlarmTopic,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`network` gives the isolated subnets; `key` encrypts data, snapshots and the token."""
        super().__init__("data:Cache", name, ctx, tier="data", opts=opts)
        self.config = config
        self.key = key
        self.identifier = ctx.name(name, limit=LIMITS["replication_group"])
        replicas = config.replicas if config.replicas is not None else int(ctx.highly_available)
        self.nodes = replicas + 1
        #: ElastiCache names the nodes of a group itself.
        self.node_names = tuple(f"{self.identifier}-{node:03}" for node in range(1, self.nodes + 1))
        self.security_group = aws.ec2.SecurityGroup(
            name,
            vpc_id=network.vpc_id,
            description="Valkey: let in by linked services only",
            tags=self.tagged(self.identifier),
            opts=self.child(),
        )
        self._token = generated_password(self, f"{name}-auth", length=64)
        self.group = self._group(network)
        self.address: pulumi.Output[str] = self.group.primary_endpoint_address
        self._host = SecureParameter(
            self, f"{name}-host", self.address, "Primary endpoint of Valkey", key=key
        )
        self._password = SecureParameter(
            self, f"{name}-auth-token", self._token, "AUTH token of Valkey", key=key
        )
        self._alarms(alarms)
        self.register_outputs({"identifier": self.identifier, "address": self.address})

    def connect(self) -> Link:
        """Address and token of the primary; the port is a literal."""
        return Link(
            name=f"{self.name}.connect",
            environment={"REDIS_PORT": str(self.config.port)},
            secrets={"REDIS_HOST": self._host.arn, "REDIS_PASSWORD": self._password.arn},
            ingress=(
                Ingress(
                    security_group_id=self.security_group.id, port=self.config.port, description="Valkey"
                ),
            ),
            kms_aliases=(self.key.alias,),
            depends_on=(self.group, self._host.resource, self._password.resource),
        )

    def _parameters(self) -> aws.elasticache.ParameterGroup:
        config = self.config
        # the family is part of the name: a new major version makes a new group beside the old one
        family = f"valkey{config.engine_version.split('.')[0]}"
        group_name = self.ctx.name(self.name, suffix=family, limit=255)
        hard = config.pubsub_buffer_mib * _MIB
        values = {
            "client-output-buffer-limit-pubsub-hard-limit": str(hard),
            "client-output-buffer-limit-pubsub-soft-limit": str(hard // 2),
            "client-output-buffer-limit-pubsub-soft-seconds": "60",
            "maxmemory-policy": "noeviction",
        }
        return aws.elasticache.ParameterGroup(
            self.name,
            name=group_name,
            family=family,
            description="Room for lagging subscribers, nothing evicted",
            parameters=[{"name": name, "value": value} for name, value in values.items()],
            tags=self.tagged(group_name),
            opts=self.child(),
        )

    def _log_group(self) -> aws.cloudwatch.LogGroup:
        group_name = self.ctx.log_group_name(self.tier, f"{self.name}-slow-log")
        return aws.cloudwatch.LogGroup(
            f"{self.name}-slow-log",
            name=group_name,
            kms_key_id=self.key.arn,
            retention_in_days=90,
            tags=self.tagged(group_name),
            opts=self.child(),
        )

    def _group(self, network: Network) -> aws.elasticache.ReplicationGroup:
        config, ctx = self.config, self.ctx
        subnet_group = aws.elasticache.SubnetGroup(
            self.name,
            name=self.identifier,
            description="Isolated subnets: no route to the internet",
            subnet_ids=network.isolated_subnet_ids,
            tags=self.tagged(self.identifier),
            opts=self.child(),
        )
        snapshots = config.snapshot_retention_days
        return aws.elasticache.ReplicationGroup(
            self.name,
            replication_group_id=self.identifier,
            description=f"Valkey of {ctx.project} {ctx.stack}",
            engine="valkey",
            engine_version=config.engine_version,
            auto_minor_version_upgrade=True,
            node_type=config.node_type,
            num_cache_clusters=self.nodes,
            # a replica is only of use in another zone, and only if it takes over by itself
            automatic_failover_enabled=self.nodes > 1,
            multi_az_enabled=self.nodes > 1,
            port=config.port,
            parameter_group_name=self._parameters().name,
            subnet_group_name=subnet_group.name,
            security_group_ids=[self.security_group.id],
            # who may talk to it
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=self._token,
            auth_token_update_strategy="ROTATE",  # noqa: S106 - a strategy, no token
            at_rest_encryption_enabled=True,
            kms_key_id=self.key.arn,
            # what survives
            snapshot_retention_limit=snapshots,
            snapshot_window=config.snapshot_window if snapshots else None,
            maintenance_window=config.maintenance_window,
            final_snapshot_identifier=f"{self.identifier}-final" if ctx.retained else None,
            apply_immediately=not ctx.retained,
            log_delivery_configurations=[
                {
                    "destination": self._log_group().name,
                    "destination_type": "cloudwatch-logs",
                    "log_format": "json",
                    "log_type": "slow-log",
                }
            ],
            tags=self.tagged(self.identifier),
            opts=self.child(stateful=True, delete_before_replace=True),  # the id is fixed
        )

    def _alarms(self, alarms: AlarmTopic) -> None:
        for node, cluster in enumerate(self.node_names, 1):
            dimensions = {"CacheClusterId": cluster}
            alarms.alarm(
                self,
                f"{self.name}-{node}-cpu",
                "Valkey's one command thread is near its limit: take a larger node type",
                metric=("AWS/ElastiCache", "EngineCPUUtilization"),
                dimensions=dimensions,
                threshold=80,
            )
            alarms.alarm(
                self,
                f"{self.name}-{node}-memory",
                "Valkey's memory fills up; when it is full writes are refused, nothing is evicted",
                metric=("AWS/ElastiCache", "DatabaseMemoryUsagePercentage"),
                dimensions=dimensions,
                threshold=75,
            )
