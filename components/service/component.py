"""ContainerService: one app on Fargate with exactly what it linked, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.base import Component
from components.names import LIMITS
from components.service import scaling, security
from components.service.container import PORT
from components.service.task import make_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_settings import BaseSettings

    from components.base import Context
    from components.drain import DrainConfig
    from components.key import Key
    from components.links import Link
    from components.network.component import Network
    from components.service.cluster import Cluster
    from components.service.config import ServiceConfig
    from components.service.image import Image

_GRACE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Target:
    """A load balancer before the service; ECS wants its target group on a listener first."""

    target_group_arn: pulumi.Input[str]
    security_group_id: pulumi.Input[str]
    depends_on: tuple[pulumi.Resource, ...] = field(default=(), repr=False)
    resource_label: pulumi.Input[str] | None = None


class ContainerService(Component):
    """A Fargate service in private subnets: rolling deployment with circuit breaker and rollback.

    Every task has its own network interface; a service holds up to 5,000 tasks, the circuit breaker gives
    up after half the desired count failed, 3 at least and 200 at most
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html).
    """

    security_group_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        config: ServiceConfig,
        *,
        ctx: Context,
        tier: str,
        network: Network,
        cluster: Cluster,
        image: Image,
        key: Key,
        settings: type[BaseSettings],
        command: Sequence[str],
        drain: DrainConfig,
        links: Sequence[Link] = (),
        environment: Mapping[str, str] | None = None,
        target: Target | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`settings` is the app's contract: links and `environment` must supply exactly what it reads."""
        super().__init__("service:ContainerService", name, ctx, tier=tier, opts=opts)
        self.service_name = ctx.name(name, limit=LIMITS["service"])
        self.port = PORT
        own = {"STACK": ctx.stack, "SERVICE": name, "BIND_HOST": "0.0.0.0", "PORT": str(PORT)}  # noqa: S104 - inside the container
        self.task = make_task(
            self,
            config,
            image=image,
            key=key,
            settings=settings,
            command=command,
            links=links,
            environment={
                **own,
                **drain.environment(),
                **(drain.balanced_environment() if target else {}),
                **(environment or {}),
            },
            stop_timeout=drain.stop_timeout,
            listens=True,
        )
        self.task_definition = self.task.definition
        self.family = self.task.family
        self.log_group_name = self.task.log_group_name
        self.task_role_arn = self.task.task_role_arn
        group = security.make_group(self, network, self.task.link.ingress)
        self.security_group_id = group.id
        if target is not None:
            security.connect(
                self,
                f"{name}-from-balancer",
                source=target.security_group_id,
                target=group.id,
                port=PORT,
                description=f"load balancer to {name}",
            )
        self.service = self._service(config, network, cluster, drain, target, depends_on)
        if config.autoscaled:
            scaling.scale(
                self,
                config,
                cluster_name=cluster.cluster_name,
                service_name=self.service_name,
                service=self.service,
                resource_label=target.resource_label if target else None,
            )
        self.register_outputs(
            {
                "serviceName": self.service_name,
                "logGroupName": self.log_group_name,
                "securityGroupId": self.security_group_id,
            }
        )

    def _service(
        self,
        config: ServiceConfig,
        network: Network,
        cluster: Cluster,
        drain: DrainConfig,
        target: Target | None,
        depends_on: Sequence[pulumi.Resource],
    ) -> aws.ecs.Service:
        """The service itself; it is up when its tasks are healthy, and `pulumi up` waits for that."""
        balancers = [
            aws.ecs.ServiceLoadBalancerArgs(
                target_group_arn=target.target_group_arn, container_name=self.name, container_port=PORT
            )
            for target in ([target] if target else [])
        ]
        # the network whole: without its routes a task can't pull its image, nor drain while the stack goes
        waits = (network, *self.task.depends_on, *(target.depends_on if target else ()), *depends_on)
        return aws.ecs.Service(
            self.name,
            name=self.service_name,
            cluster=cluster.cluster.arn,
            task_definition=self.task_definition.arn,
            desired_count=config.min_tasks,
            launch_type="FARGATE",
            platform_version="LATEST",
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
                subnets=network.private_subnet_ids,
                security_groups=[self.security_group_id],
                assign_public_ip=False,
            ),
            load_balancers=balancers,
            health_check_grace_period_seconds=_GRACE_SECONDS if target else None,
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(
                enable=True, rollback=True
            ),
            availability_zone_rebalancing="ENABLED",
            enable_execute_command=False,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            wait_for_steady_state=True,
            tags=self.tagged(self.service_name),
            opts=self.child(
                depends_on=waits,
                ignore_changes=["desiredCount"] if config.autoscaled else None,
                custom_timeouts=pulumi.CustomTimeouts(
                    create="20m", update="30m", delete=f"{drain.delete_timeout}s"
                ),
            ),
        )
