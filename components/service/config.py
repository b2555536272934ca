"""How large a container is, how many there are, and when there are more: pure data with Fargate's limits."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from apps.contracts import metrics
from components.model import Model

#: vCPU units -> memory in MiB that Fargate offers with them.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
FARGATE_MEMORY: Final[dict[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16_384 + 1, 1024)),
    4096: tuple(range(8192, 30_720 + 1, 1024)),
    8192: tuple(range(16_384, 61_440 + 1, 4096)),
    16_384: tuple(range(32_768, 122_880 + 1, 8192)),
}


def check_fargate_size(cpu: int, memory: int) -> None:
    """Raise with the nearest size that Fargate offers with this cpu."""
    allowed = FARGATE_MEMORY[cpu]
    if memory not in allowed:
        nearest = min(allowed, key=lambda size: abs(size - memory))
        raise ValueError(
            f"memory {memory} is not offered with cpu {cpu}: Fargate has {allowed[0]} to {allowed[-1]} MiB "
            f"there. hint: memory: {nearest}"
        )


class MetricTarget(Model):
    """Target tracking of one of the app's own metrics, an average per task.

    The app writes it with the dimensions Stack and Service (CloudWatch embedded metric format in its JSON
    log lines, so it needs no permission); application autoscaling keeps it near the target.
    """

    name: str = Field(min_length=1, max_length=255)
    target: float = Field(gt=0)
    namespace: str = metrics.NAMESPACE
    statistic: Literal["Average", "Maximum", "Sum"] = "Average"


class ServiceConfig(Model):
    """One Fargate service: small tasks on Graviton by default, scaled out before up.

    Autoscaled when `max_tasks` is above `min_tasks`; the number of tasks then belongs to the scaler.
    """

    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16_384] = Field(
        default=512, description="1024 is one vCPU"
    )
    memory: int = Field(default=1024, description="MiB; Fargate offers certain sizes with each cpu")
    architecture: Literal["ARM64", "X86_64"] = Field(
        default="ARM64", description="Graviton is a fifth cheaper; the image is built for it"
    )
    min_tasks: int = Field(default=1, ge=0, le=500)
    max_tasks: int = Field(default=2, ge=1, le=500)
    cpu_percent: int | None = Field(default=60, ge=10, le=95, description="scale out above this average CPU")
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="scale out above this many requests per task and minute"
    )
    metrics: tuple[MetricTarget, ...] = ()
    scale_out_cooldown_seconds: int = Field(default=30, ge=0, le=3600)
    scale_in_cooldown_seconds: int = Field(default=300, ge=0, le=3600)
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365, 400] = 30

    @property
    def autoscaled(self) -> bool:
        """Whether a scaler owns the number of tasks."""
        return self.max_tasks > self.min_tasks

    @model_validator(mode="after")
    def _sizes(self) -> ServiceConfig:
        check_fargate_size(self.cpu, self.memory)
        if self.min_tasks > self.max_tasks:
            raise ValueError(
                f"min_tasks {self.min_tasks} is above max_tasks {self.max_tasks}. hint: swap them"
            )
        if self.autoscaled and not (self.cpu_percent or self.requests_per_minute or self.metrics):
            raise ValueError(
                "max_tasks is above min_tasks and nothing says when to scale. hint: cpu_percent: 60"
            )
        return self


class BuildConfig(Model):
    """Build the apps' image from this repository at deploy."""

    context: str = Field(default=".", description="folder sent to the builder, relative to the project")
    dockerfile: str = Field(default="Dockerfile", description="relative to the context")
    generation: int = Field(
        default=1,
        ge=1,
        description="raise it to build the same files again: a tag is pushed once, so files that return "
        "to an earlier state (a revert) need a new one",
    )


class ImageConfig(Model):
    """Where the containers' image comes from: built here, or pushed by a pipeline before."""

    build: BuildConfig | None = None
    reference: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+(:[A-Za-z0-9_.-]{1,128}|@sha256:[0-9a-f]{64})$",
        description="registry/repository:tag or @sha256 digest; never without one of them",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ImageConfig:
        if (self.build is None) == (self.reference is None):
            raise ValueError(
                "an image has exactly one source. hint: image: {build: {}} or image: {reference: ...}"
            )
        if self.reference is not None and self.reference.endswith(":latest"):
            raise ValueError("the tag latest names no certain image. hint: a version tag or a digest")
        return self
