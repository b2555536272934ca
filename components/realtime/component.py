"""The realtime tier: the API, the websocket gateway and the filter processor of the live map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from apps.api.settings import ApiSettings
from apps.filter_processor.settings import FilterProcessorSettings
from apps.migrations.settings import MigrationsSettings
from apps.realtime.settings import RealtimeSettings
from components.base import Component
from components.oneoff.component import OneOffTask
from components.realtime import alarms, certificate, dashboard, scaling
from components.realtime.alb import LoadBalancer
from components.realtime.waf import WebAcl
from components.service.cluster import Cluster
from components.service.component import ContainerService
from components.service.config import ServiceConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import BaseSettings

    from components.base import Context
    from components.data.component import DataTier
    from components.key import Key
    from components.network.component import Network
    from components.realtime.config import RealtimeConfig
    from components.service.component import Target
    from components.service.image import Image


class RealtimeTier(Component):
    """Three services of one image behind one load balancer; migrations run before any of them rolls.

    A change posted to the API is committed, leaves through the outbox into Valkey, is matched by a filter
    processor and reaches the browsers that may see it through a gateway. Services link what they need and
    have nothing else: none may read the database's master secret but the migration task.
    """

    def __init__(
        self,
        name: str,
        config: RealtimeConfig,
        *,
        ctx: Context,
        network: Network,
        data: DataTier,
        image: Image,
        key: Key,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`data` is linked; `image` holds all apps; `key` encrypts logs and must serve logs."""
        super().__init__("realtime:RealtimeTier", name, ctx, tier="realtime", opts=opts)
        self.cluster = Cluster(name, ctx=ctx, tier="realtime", key=key, opts=self.child())
        self.url = f"https://{config.domain.name}"
        self.load_balancer = self._front(config, network, data, key)
        self.migrations = OneOffTask(
            "migrations",
            ServiceConfig(log_retention_days=config.log_retention_days),
            ctx=ctx,
            tier="realtime",
            network=network,
            cluster=self.cluster,
            image=image,
            key=key,
            settings=MigrationsSettings,
            command=("python", "-m", "apps.migrations"),
            links=(data.database.administer(),),
            opts=self.child(),
        )
        state = (data.database.connect(), data.cache.connect())
        auth = {
            "AUTH_ISSUER": config.auth.issuer,
            "AUTH_AUDIENCE": config.auth.audience,
            "AUTH_JWKS_URL": config.auth.jwks_url,
        }

        def service(
            service_name: str,
            size: ServiceConfig,
            settings: type[BaseSettings],
            module: str,
            environment: Mapping[str, str],
            target: Target | None = None,
        ) -> ContainerService:
            return ContainerService(
                service_name,
                size,
                ctx=ctx,
                tier="realtime",
                network=network,
                cluster=self.cluster,
                image=image,
                key=key,
                settings=settings,
                command=("python", "-m", module),
                drain=config.drain,
                links=state,
                environment=environment,
                target=target,
                depends_on=(self.migrations.done,),
                opts=self.child(),
            )

        self.api = service(
            "api",
            scaling.api(config.api, config, ctx),
            ApiSettings,
            "apps.api",
            auth,
            self.load_balancer.target("api"),
        )
        self.websocket = service(
            "websocket",
            scaling.websocket(config.websocket, config, ctx),
            RealtimeSettings,
            "apps.realtime",
            {
                **auth,
                **config.drain.websocket_environment(),
                **config.websocket.environment(),
                **config.views.environment(),
                **config.presence.environment(),
                "VIEWPORT_TTL_SECONDS": str(config.views.ttl_seconds),
            },
            self.load_balancer.target("websocket"),
        )
        self.filter_processor = service(
            "filter-processor",
            scaling.filter_processor(config.filter_processor, config, ctx),
            FilterProcessorSettings,
            "apps.filter_processor",
            {**config.filter_processor.environment(), **config.views.environment()},
        )
        alarms.make(self, data.alarms, config.alarms)
        self.dashboard = dashboard.make(
            self, balancer_name=self.load_balancer.balancer_name, cache_nodes=data.cache.node_names
        )
        self.register_outputs({"url": self.url, "cluster": self.cluster.arn})

    def _front(self, config: RealtimeConfig, network: Network, data: DataTier, key: Key) -> LoadBalancer:
        """Certificate, balancer, web ACL and, in a zone of ours, the domain's record."""
        domain = config.domain
        certificate_arn: pulumi.Input[str] | None = domain.certificate_arn
        if certificate_arn is None:
            certificate_arn = certificate.issue(self, domain)
        balancer = LoadBalancer(
            self.name,
            ctx=self.ctx,
            network=network,
            logs=data.logs,
            alarms=data.alarms,
            certificate_arn=certificate_arn,
            drain=config.drain,
            stickiness_seconds=config.websocket.stickiness_seconds,
            opts=self.child(),
        )
        WebAcl(
            "waf",
            config.waf,
            ctx=self.ctx,
            key=key,
            balancer_arn=balancer.balancer.arn,
            log_retention_days=config.log_retention_days,
            opts=self.child(),
        )
        if domain.zone is not None:
            certificate.alias(self, domain, balancer.balancer)
        return balancer
