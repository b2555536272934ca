"""The use that a stack declares for a month, and what of each price it comes to: the one place that converts.

The estimate shares each quantity among the resources that bill it; a price that none bills is ignored. So the
stack may declare jobs before it has queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field, model_validator

from components.base import Component
from components.model import Model

if TYPE_CHECKING:
    import pulumi

    from components.base import Context

_DAYS: Final = 365 / 12
_SECONDS: Final = _DAYS * 86_400
_HOURS: Final = 730
_KB_PER_GB: Final = 1_000_000
# AWS bills a load balancer by the largest of these, each hour:
# https://aws.amazon.com/elasticloadbalancing/pricing/
_LCU_CONNECTIONS: Final = 3_000
_LCU_NEW_PER_SECOND: Final = 25
_LCU_GB_PER_HOUR: Final = 1
# a message is sent, received and deleted
_REQUESTS_PER_MESSAGE: Final = 3
_SMALLEST_UPDATE_KB: Final = 0.05


class JobTypeConfig(Model):
    """One kind of job, as a Lambda function and as a task would run it: which is cheaper at this rate?"""

    seconds: float = Field(gt=0, le=900, description="time of one invocation")
    memory_mb: int = Field(ge=128, le=10_240, description="memory as a Lambda function")
    batch: int = Field(default=1, ge=1, le=10_000, description="jobs per invocation")
    vcpu: float = Field(default=0.5, ge=0.25, le=16, description="of a task that would do them")
    memory_gb: float = Field(default=1, ge=0.5, le=120, description="of a task that would do them")
    at_once: int = Field(default=4, ge=1, description="invocations that such a task works on at a time")
    per_day: float = Field(ge=0, description="jobs of this type in a day")


class UsageConfig(Model):
    """What the stack expects; the defaults are those of a large production stack."""

    users: int = Field(default=1_000_000, ge=1, description="registered users")
    open_connections: int = Field(default=10_000, ge=0, description="websockets open at the same time")
    active_connections: int = Field(default=3_000, ge=0, description="how many of them move at a time")
    reconnects_per_day: float = Field(default=4, ge=0, description="how often a connection is made anew")
    updates_per_second: float = Field(default=500, ge=0, description="position updates at the peak")
    average_share: float = Field(
        default=0.1, ge=0, le=1, description="the average of updates_per_second, as a part of the peak"
    )
    requests_per_day: float = Field(default=3_000_000, ge=0, description="HTTP requests of any kind")
    jobs_per_day: float = Field(default=100_000, ge=0, description="jobs that are queued")
    events_per_day: float = Field(default=150_000, ge=0, description="events that are delivered")
    gb_out: float = Field(default=2_048, ge=0, description="GB to the internet in a month")
    gb_through_nat: float = Field(default=200, ge=0, description="GB through NAT gateways in a month")
    gb_through_endpoints: float = Field(
        default=50, ge=0, description="GB through interface endpoints in a month: images, logs, secrets"
    )
    kb_logged: float = Field(default=0.2, ge=0, description="KB of logs per request, job and event")
    log_months: float = Field(default=3, ge=0, description="how many months logs are kept")
    objects_gb: float = Field(default=200, ge=0, description="GB of objects kept in buckets")
    images_gb: float = Field(default=20, ge=0, description="GB of container images kept")
    backup_gb: float = Field(
        default=50, ge=0, description="GB of database backups above the database's own size"
    )
    notifications: float = Field(default=10_000, ge=0, description="alarm notifications in a month")
    one_off_runs: float = Field(default=100, ge=0, description="runs of one-off tasks in a month")

    job_types: dict[str, JobTypeConfig] = Field(
        default_factory=dict[str, JobTypeConfig],
        description="for the comparison of Lambda with tasks: beside schedule, deliver and job, or in their "
        "place",
    )

    @property
    def updates(self) -> float:
        """Updates in a month."""
        return self.updates_per_second * self.average_share * _SECONDS

    @model_validator(mode="after")
    def _plausible(self) -> UsageConfig:
        wrong: list[str] = []
        if self.active_connections > self.open_connections:
            wrong.append(
                f"active_connections is {self.active_connections}, but only {self.open_connections} are open"
            )
        if self.open_connections > self.users:
            wrong.append(f"open_connections is {self.open_connections}, but there are {self.users} users")
        least = self.updates * _SMALLEST_UPDATE_KB / _KB_PER_GB
        if self.gb_out < least:
            wrong.append(
                f"gb_out is {self.gb_out:g}, but {self.updates:,.0f} updates of at least 50 bytes are "
                f"{least:,.1f} GB"
            )
        if self.updates_per_second and not self.active_connections:
            wrong.append("updates_per_second is above 0, but no connection is active")
        if self.events_per_day > 1_000 * self.users:
            wrong.append(f"events_per_day is more than 1000 for each of {self.users} users")
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}. hint: correct slipway:usage, it is per stack")
        return self

    def compared(self) -> dict[str, JobTypeConfig]:
        """The scheduler and workers of the event-delivery plan, a job of a second, and what is declared."""
        return {
            "schedule": JobTypeConfig(seconds=2, memory_mb=1024, at_once=1, per_day=1_440),
            "deliver": JobTypeConfig(
                seconds=3, memory_mb=1024, batch=10, at_once=20, per_day=self.events_per_day
            ),
            "job": JobTypeConfig(seconds=1, memory_mb=512, per_day=self.jobs_per_day),
            **self.job_types,
        }

    def per_price(self) -> dict[str, float]:
        """The quantity of each price in a month, of the whole stack."""
        messages = (self.jobs_per_day + self.events_per_day) * _DAYS
        requests = self.requests_per_day * _DAYS
        opened = self.open_connections * self.reconnects_per_day * _DAYS
        logged = (requests + messages) * self.kb_logged / _KB_PER_GB
        return {
            "alb.lcu_hour": self._capacity_units(requests + opened) * _HOURS,
            "ecr.gb": self.images_gb,
            "endpoint.gb": self.gb_through_endpoints,
            "lambda.arm.gb_second": self.one_off_runs * 10,
            "lambda.request": self.one_off_runs,
            "logs.ingest.gb": logged,
            "logs.stored.gb": logged * self.log_months,
            "nat.gb": self.gb_through_nat,
            "rds.backup.gb": self.backup_gb,
            "s3.standard.gb": self.objects_gb,
            "sns.request": self.notifications,
            "sqs.request": messages * _REQUESTS_PER_MESSAGE,
            "transfer.out.gb": self.gb_out,
            "waf.request": requests + opened,
        }

    def _capacity_units(self, new_connections: float) -> float:
        """The largest dimension; every request is counted as a new connection: too many, not too few."""
        return max(
            self.open_connections / _LCU_CONNECTIONS,
            new_connections / _SECONDS / _LCU_NEW_PER_SECOND,
            self.gb_out / _HOURS / _LCU_GB_PER_HOUR,
        )


class DeclaredUsage(Component):
    """Carries the declaration in the graph, where the policies and `slipway cost` read it (ADR 0013).

    It makes nothing in AWS.
    """

    def __init__(
        self, name: str, config: UsageConfig, *, ctx: Context, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """`declared` is what the stack file says, `usage` what of each price it comes to."""
        super().__init__("budget:DeclaredUsage", name, ctx, tier="budget", opts=opts)
        types = {kind: job.model_dump() for kind, job in config.compared().items()}
        declared = {**config.model_dump(), "job_types": types}
        self.register_outputs({"declared": declared, "usage": config.per_price()})
