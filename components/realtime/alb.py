"""The load balancer: the only thing in public subnets, HTTPS in, websockets kept as long as they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import pulumi
import pulumi_aws as aws

from components.base import Component
from components.names import LIMITS
from components.service.component import Target
from components.service.container import PORT

if TYPE_CHECKING:
    from components.base import Context
    from components.data.alarms import AlarmTopic
    from components.data.buckets import LogBucket
    from components.drain import DrainConfig
    from components.network.component import Network

Backend = Literal["api", "websocket"]

_WORLD: Final = "0.0.0.0/0"
# the gateway: websockets, and server-sent events for who can't open one
_GATEWAY_PATHS: Final = ("/ws", "/events")
# TLS 1.3, and of 1.2 only suites with forward secrecy and AEAD
_TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
_ONE_YEAR: Final = 31_536_000
_ERRORS_IN_5_MINUTES: Final = 25
# /ready asks the database too, and a Multi-AZ failover takes 60 to 120 s: a task that only waits for it must
# not be replaced, with all of its users. One that hangs is found by its container's own check of /health.
_PROBE_SECONDS: Final = 15
_PROBES_MISSED: Final = 10


class LoadBalancer(Component):
    """One application load balancer, about $16 a month and $6 per LCU (3,000 connections, 1 GB an hour).

    HTTPS: `/ws` and `/events` go to the gateway, the rest to the API; HTTP only redirects. Timeouts come from
    the drain config: idle above two pings, deregistration at least the drain. A reconnect within the
    stickiness meets the task that still holds its state; the cookie comes with the handshake's response.
    Sources: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    (idle timeout, desync mitigation), .../sticky-sessions.html, .../describe-ssl-policies.html
    """

    def __init__(
        self,
        name: str,
        *,
        ctx: Context,
        network: Network,
        logs: LogBucket,
        alarms: AlarmTopic,
        certificate_arn: pulumi.Input[str],
        drain: DrainConfig,
        stickiness_seconds: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`network` gives the public subnets; `logs` takes a file per zone every five minutes."""
        super().__init__("realtime:LoadBalancer", name, ctx, tier="realtime", opts=opts)
        self.security_group = self._security_group(network)
        self.balancer_name = balancer_name = ctx.name(name, limit=LIMITS["load_balancer"])
        self.balancer = aws.lb.LoadBalancer(
            name,
            name=balancer_name,
            load_balancer_type="application",
            internal=False,
            ip_address_type="ipv4",
            subnets=network.public_subnet_ids,
            security_groups=[self.security_group.id],
            idle_timeout=drain.idle_timeout,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            xff_header_processing_mode="append",
            enable_deletion_protection=ctx.retained,
            access_logs={"bucket": logs.bucket.bucket, "prefix": logs.alb_prefix, "enabled": True},
            tags=self.tagged(balancer_name),
            # ELB tries at once whether it may write its log, and refuses subnets without a route to the world
            opts=self.child(depends_on=[logs, network]),
        )
        self.target_groups: dict[Backend, aws.lb.TargetGroup] = {
            "api": self._target_group("api", network, drain),
            "websocket": self._target_group("websocket", network, drain, stickiness_seconds),
        }
        self._listeners = self._listen(certificate_arn)
        self._alarms(alarms)
        self.register_outputs({"dnsName": self.balancer.dns_name})

    def target(self, backend: Backend) -> Target:
        """What a service needs to stand behind the balancer."""
        group = self.target_groups[backend]
        return Target(
            target_group_arn=group.arn,
            security_group_id=self.security_group.id,
            depends_on=self._listeners,
            # how application autoscaling names the pair: app/<balancer>/<id>/targetgroup/<group>/<id>
            resource_label=pulumi.Output.concat(self.balancer.arn_suffix, "/", group.arn_suffix),
        )

    def _security_group(self, network: Network) -> aws.ec2.SecurityGroup:
        """The world gets in on 80 and 443; services add the only ways out, each to itself."""
        group = aws.ec2.SecurityGroup(
            self.name,
            vpc_id=network.vpc_id,
            description="Load balancer: HTTP and HTTPS from everywhere",
            tags=self.tagged(self.ctx.name(self.name)),
            opts=self.child(),
        )
        for port in (80, 443):
            aws.vpc.SecurityGroupIngressRule(
                f"{self.name}-{port}",
                security_group_id=group.id,
                description="HTTPS" if port == 443 else "HTTP, answered by a redirect",
                cidr_ipv4=_WORLD,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                tags=self.tagged(self.ctx.name(self.name, str(port))),
                opts=self.child(),
            )
        return group

    def _target_group(
        self, backend: Backend, network: Network, drain: DrainConfig, stickiness_seconds: int | None = None
    ) -> aws.lb.TargetGroup:
        """Named by Pulumi: a replacement must stand beside the old group while listeners move over."""
        return aws.lb.TargetGroup(
            backend,
            vpc_id=network.vpc_id,
            target_type="ip",
            protocol="HTTP",
            port=PORT,
            deregistration_delay=drain.deregistration_delay,
            health_check={
                "path": "/ready",
                "port": "traffic-port",
                "matcher": "200",
                "interval": _PROBE_SECONDS,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": _PROBES_MISSED,
            },
            stickiness={
                "type": "lb_cookie",
                "enabled": stickiness_seconds is not None,
                "cookie_duration": stickiness_seconds,
            },
            tags=self.tagged(self.ctx.name(backend)),
            opts=self.child(),
        )

    def _listen(self, certificate_arn: pulumi.Input[str]) -> tuple[pulumi.Resource, ...]:
        https = aws.lb.Listener(
            f"{self.name}-https",
            load_balancer_arn=self.balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=_TLS_POLICY,
            certificate_arn=certificate_arn,
            default_actions=[{"type": "forward", "target_group_arn": self.target_groups["api"].arn}],
            routing_http_response_server_enabled=False,
            routing_http_response_strict_transport_security_header_value=f"max-age={_ONE_YEAR}",
            routing_http_response_x_content_type_options_header_value="nosniff",
            tags=self.tagged(self.ctx.name("https")),
            opts=self.child(),
        )
        websocket = aws.lb.ListenerRule(
            f"{self.name}-websocket",
            listener_arn=https.arn,
            priority=10,
            conditions=[{"path_pattern": {"values": list(_GATEWAY_PATHS)}}],
            actions=[{"type": "forward", "target_group_arn": self.target_groups["websocket"].arn}],
            tags=self.tagged(self.ctx.name("websocket")),
            opts=self.child(),
        )
        http = aws.lb.Listener(
            f"{self.name}-http",
            load_balancer_arn=self.balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[
                {
                    "type": "redirect",
                    "redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"},
                }
            ],
            tags=self.tagged(self.ctx.name("http")),
            opts=self.child(),
        )
        return (https, websocket, http)

    def _alarms(self, alarms: AlarmTopic) -> None:
        balancer = {"LoadBalancer": self.balancer.arn_suffix}
        for backend, group in self.target_groups.items():
            here = {**balancer, "TargetGroup": group.arn_suffix}
            alarms.alarm(
                self,
                f"{backend}-unhealthy",
                f"A task of {backend} does not answer /ready: look at its log group",
                metric=("AWS/ApplicationELB", "UnHealthyHostCount"),
                dimensions=here,
                threshold=0,
                statistic="Maximum",
            )
            alarms.alarm(
                self,
                f"{backend}-5xx",
                f"Users of {backend} get server errors",
                metric=("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"),
                dimensions=here,
                threshold=_ERRORS_IN_5_MINUTES,
                statistic="Sum",
                missing="notBreaching",
            )
        alarms.alarm(
            self,
            f"{self.name}-5xx",
            "The balancer itself answers with server errors: no healthy task, or one that hangs up",
            metric=("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"),
            dimensions=balancer,
            threshold=_ERRORS_IN_5_MINUTES,
            statistic="Sum",
            missing="notBreaching",
        )
