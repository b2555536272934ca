"""The live map's settings: its domain, its identity provider, and the size and scaling of its services."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from apps.platform.settings import KindRule
from components.drain import DrainConfig
from components.model import Model
from components.service.config import check_fargate_size

HostName = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=253)
]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+(/\S*)?$")]
CertificateArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}$")
]


Kind = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_ZONE_ID = re.compile(r"^Z[A-Z0-9]{1,31}$")


def variables(config: Model, *names: str) -> dict[str, str]:
    """These keys as an app's environment names them."""
    return {name.upper(): str(getattr(config, name)) for name in names}


class DomainConfig(Model):
    """Where users reach the map: an issued certificate in a hosted zone of ours, or one that exists."""

    name: HostName
    zone: str | None = Field(
        default=None,
        description="id of a public Route 53 zone: a certificate is issued, an alias record is made",
        json_schema_extra={"pattern": _ZONE_ID.pattern},
    )
    certificate_arn: CertificateArn | None = Field(
        default=None, description="an ACM certificate of the stack's region; DNS is yours to point"
    )

    @field_validator("zone")
    @classmethod
    def _zone_id(cls, value: str | None) -> str | None:
        """An id: two zones may share a name, and looking one up would need the cloud at preview."""
        if value is not None and not _ZONE_ID.match(value):
            raise ValueError(
                f"domain.zone {value!r} is no hosted zone id (Z and up to 31 capitals or digits). hint: aws "
                f"route53 list-hosted-zones-by-name --dns-name {value} --query 'HostedZones[0].Id'"
            )
        return value

    @model_validator(mode="after")
    def _one_certificate(self) -> Self:
        if self.zone is None and self.certificate_arn is None:
            raise ValueError(
                f"domain {self.name} has no certificate: HTTPS needs one, and the stack only issues it "
                "in a zone it may write. hint: set domain.zone (the id of a Route 53 zone) or "
                "domain.certificate_arn"
            )
        if self.zone is not None and self.certificate_arn is not None:
            raise ValueError(
                f"domain {self.name} has both domain.zone and domain.certificate_arn; which certificate "
                "would serve is unclear. hint: keep one of them"
            )
        return self


class AuthConfig(Model):
    """The OIDC issuer whose tokens the API and the gateway accept."""

    issuer: HttpsUrl
    audience: str = Field(min_length=1, max_length=255)
    jwks_url: HttpsUrl


class ScaledConfig(Model):
    """One Fargate service: small tasks, scaled out first."""

    cpu: Literal[256, 512, 1024, 2048, 4096] = Field(default=512, description="1024 is one vCPU")
    memory: int = Field(default=1024, description="MiB; Fargate offers certain sizes with each cpu")
    min: int | None = Field(default=None, ge=1, le=500, description="none: by availability, 1 or 2 tasks")
    max: int | None = Field(default=None, ge=1, le=500, description="none: by availability, 2 or 8 tasks")
    cpu_percent: int = Field(default=60, ge=20, le=90, description="scale out above this average CPU")

    @model_validator(mode="after")
    def _fargate_size(self) -> Self:
        check_fargate_size(self.cpu, self.memory)
        return self

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}. hint: swap them")
        return self


class ApiConfig(ScaledConfig):
    """The REST API: scales on CPU and on requests per task."""

    requests_per_minute: int = Field(
        default=3_000, ge=60, description="requests per task and minute the scaler aims for"
    )


class WebsocketConfig(ScaledConfig):
    """The websocket gateway: scales on connections per task, CPU and outgoing messages per second.

    One connection costs about 154 KB in the gateway (measured), so 3,000 fit half of a 1 GB task.
    """

    connections_per_task: int = Field(default=3_000, ge=10, le=50_000)
    messages_per_second: int = Field(
        default=20_000, ge=10, description="outgoing messages per task and second the scaler aims for"
    )
    stickiness_seconds: int = Field(
        default=120, ge=60, le=300, description="a reconnect within this time meets the same task"
    )
    tick_milliseconds: int = Field(
        default=50, ge=0, le=1000, description="at most one frame per client and tick; 0: at once"
    )
    connections_per_second: float = Field(
        default=1_500, gt=0, description="handshakes a task takes; further ones are told when to return"
    )
    connection_burst: int = Field(default=3_000, ge=1, description="handshakes a task takes at once")

    def environment(self) -> dict[str, str]:
        """The variables of the gateway."""
        names = ("tick_milliseconds", "connections_per_second", "connection_burst")
        # room above the scaler's aim, or a task would refuse before another one is started
        return {**variables(self, *names), "MAX_CONNECTIONS": str(self.connections_per_task * 3 // 2)}


class FilterProcessorConfig(ScaledConfig):
    """The matcher: scales on CPU and on processed updates per second.

    One viewport costs about 1.2 KB in the processor that holds its shard, one entity about 0.5 KB in each.
    """

    updates_per_second: int = Field(
        default=2_000, ge=10, description="entity updates per task and second the scaler aims for"
    )
    tick_milliseconds: int = Field(
        default=50, ge=0, le=1000, description="at most one read and one publish per tick; 0: at once"
    )
    stream_batch: int = Field(
        default=500, ge=1, le=10_000, description="changes read from the stream at once"
    )
    lease_seconds: float = Field(
        default=5.0, ge=0.5, le=60, description="a shard whose processor died is taken over after"
    )
    max_affected: int = Field(
        default=5_000,
        ge=1,
        description="sessions one change is delivered to at once; above: conflated to the slow tick",
    )
    conflate_milliseconds: int = Field(
        default=1_000, ge=50, le=60_000, description="the slow tick: newest version of what was conflated"
    )
    conflate_deliveries: int = Field(
        default=200_000, ge=1, description="deliveries of one slow tick; the rest waits for the next"
    )

    def environment(self) -> dict[str, str]:
        """The variables of the filter processor."""
        return variables(
            self,
            "tick_milliseconds",
            "stream_batch",
            "lease_seconds",
            "max_affected",
            "conflate_milliseconds",
            "conflate_deliveries",
        )


class ViewsConfig(Model):
    """What a view takes in and how long it lives; gateway and filter processor are told the same."""

    ttl_seconds: float = Field(
        default=30.0, ge=1, le=600, description="a viewport nobody renews is dropped after"
    )
    kinds: dict[Kind, KindRule] = Field(
        default={}, max_length=64, description="by kind; `*` is every kind without a rule of its own"
    )

    def environment(self) -> dict[str, str]:
        """The variable of both; none: every kind at every zoom, without a margin."""
        if not self.kinds:
            return {}
        rules = {kind: rule.model_dump(exclude_defaults=True) for kind, rule in sorted(self.kinds.items())}
        return {"KIND_RULES": json.dumps(rules, separators=(",", ":"))}


class PresenceConfig(Model):
    """Members of channels, for clients that ask: docs/guides/realtime-channels.md."""

    enabled: bool = True
    seconds: float = Field(
        default=1.0, gt=0, le=60, description="joins and leaves of a channel are told at most this often"
    )
    ttl_seconds: float = Field(
        default=15.0, ge=1, le=600, description="members on a gateway that died are gone after"
    )

    @model_validator(mode="after")
    def _outlives_a_round(self) -> Self:
        if self.ttl_seconds < 3 * self.seconds:
            raise ValueError(
                f"presence.ttl_seconds {self.ttl_seconds:g} is below three rounds of presence.seconds "
                f"{self.seconds:g}: members would expire between two. hint: raise ttl_seconds to "
                f"{3 * self.seconds:g}"
            )
        return self

    def environment(self) -> dict[str, str]:
        """The variables of the gateway."""
        return {
            "PRESENCE_ENABLED": str(self.enabled).lower(),
            "PRESENCE_SECONDS": str(self.seconds),
            "PRESENCE_TTL_SECONDS": str(self.ttl_seconds),
        }


class WafConfig(Model):
    """The web ACL before the load balancer; a burst of websocket reconnects must fit the rate."""

    requests_per_5_minutes: int = Field(
        default=10_000, ge=100, le=2_000_000, description="per client address; AWS allows 10 and above"
    )


class ThresholdsConfig(Model):
    """When the tier's own figures raise an alarm; what to do: docs/guides/realtime-operations.md."""

    delivery_p99_milliseconds: int = Field(
        default=1_000, ge=10, le=60_000, description="from a change's commit to a client's socket"
    )
    bus_lag_p99_milliseconds: int = Field(
        default=500, ge=10, le=60_000, description="from a processor's publish to a gateway"
    )
    loop_lag_p99_milliseconds: int = Field(
        default=250, ge=10, le=60_000, description="lateness of the event loop"
    )
    stream_lag_milliseconds: int = Field(
        default=5_000, ge=100, le=3_600_000, description="how far a processor may be behind the stream"
    )
    outbox_age_seconds: int = Field(
        default=30, ge=1, le=3_600, description="how long a committed change may wait for Valkey"
    )
    resyncs_per_5_minutes: int = Field(
        default=1_000, ge=1, le=10_000_000, description="sessions told to load everything again, all tasks"
    )


class RealtimeConfig(Model):
    """The realtime tier of a stack."""

    domain: DomainConfig
    auth: AuthConfig
    api: ApiConfig = ApiConfig()
    websocket: WebsocketConfig = WebsocketConfig()
    filter_processor: FilterProcessorConfig = FilterProcessorConfig()
    views: ViewsConfig = ViewsConfig()
    presence: PresenceConfig = PresenceConfig()
    drain: DrainConfig = DrainConfig()
    waf: WafConfig = WafConfig()
    alarms: ThresholdsConfig = ThresholdsConfig()
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365, 400] = 30
