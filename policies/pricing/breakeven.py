"""Lambda or a container that always runs: at which rate of jobs the one gets dearer than the other."""

from __future__ import annotations

from dataclasses import dataclass

from policies.pricing.items import HOURS
from policies.pricing.table import PriceTable


@dataclass(frozen=True)
class JobType:
    """One kind of job, as a Lambda function and as an ECS task would run it."""

    name: str
    seconds: float  # of one invocation
    memory_mb: float
    batch: int  # jobs per invocation
    vcpu: float  # of the task
    memory_gb: float
    at_once: int  # invocations that the task works on at the same time
    per_day: float


@dataclass(frozen=True)
class BreakEven:
    """Dollars of both ways, and where they meet."""

    job: JobType
    lambda_usd_per_million: float
    task_usd_month: float
    capacity_per_day: float  # jobs that one task can do
    lambda_usd_month: float  # at the declared rate
    ecs_usd_month: float  # at the declared rate, by as many tasks as that takes

    @property
    def per_day(self) -> float | None:
        """Jobs a day from which one task is cheaper; None when a full task is still dearer than Lambda."""
        rate = self.task_usd_month / (self.lambda_usd_per_million / 1e6) / (HOURS / 24)
        return rate if rate <= self.capacity_per_day else None

    @property
    def cheaper(self) -> str:
        """Which one is, at the declared rate."""
        return "lambda" if self.lambda_usd_month <= self.ecs_usd_month else "ecs"


def break_even(job: JobType, prices: PriceTable, region: str) -> BreakEven | None:
    """Both on Graviton; None where a price is missing."""
    names = ("lambda.request", "lambda.arm.gb_second", "fargate.arm.vcpu_hour", "fargate.arm.gb_hour")
    found = [prices.find(name, region) for name in names]
    if None in found:
        return None
    request, gb_second, vcpu, gb = (each.usd if each else 0.0 for each in found)
    per_job = (request + job.memory_mb / 1024 * job.seconds * gb_second) / job.batch
    task = HOURS * (job.vcpu * vcpu + job.memory_gb * gb)
    capacity = 86_400 / job.seconds * job.at_once * job.batch
    tasks = max(1, -(-job.per_day // capacity))
    return BreakEven(
        job=job,
        lambda_usd_per_million=per_job * 1e6,
        task_usd_month=task,
        capacity_per_day=capacity,
        lambda_usd_month=per_job * job.per_day * HOURS / 24,
        ecs_usd_month=tasks * task,
    )
