"""Draining as one object: every timeout from a ping to a forced stop, none undercutting another."""

from __future__ import annotations

from pydantic import Field, model_validator

from components.model import Model

FARGATE_STOP_TIMEOUT = 120  # ECS: stopTimeout on Fargate is at most 120 s
ALB_IDLE_TIMEOUT = 4000  # ELBv2 load balancer attribute idle_timeout.timeout_seconds: 1 to 4000
DEREGISTRATION_DELAY = 3600  # ELBv2 target group attribute deregistration_delay.timeout_seconds: 0 to 3600
_REGISTRATION_LAG = (
    15  # a keep-alive above the idle timeout: the balancer, not the app, closes idle connections
)


class DrainConfig(Model):
    """How long a connection may stay silent and how long a stopping task has; the rest follows.

    ping < ALB idle timeout < keep-alive of the app (else the app closes first and the balancer answers 502);
    linger < drain <= deregistration delay;
    drain < hard deadline of the app < ECS stopTimeout <= 120 s on Fargate;
    Pulumi's delete timeout covers all of it.
    """

    ping_interval_seconds: int = Field(
        default=25, ge=1, le=600, description="the server's heartbeat on a quiet websocket"
    )
    drain_seconds: int = Field(
        default=20, ge=1, description="a stopping task sends its close frames within this time"
    )
    linger_seconds: int = Field(
        default=5,
        ge=0,
        description="a stopping task behind the balancer answers on so long: it may still be routed to",
    )
    margin_seconds: int = Field(default=5, ge=1, description="between one deadline and the next")
    idle_timeout_seconds: int | None = Field(
        default=None, description="ALB idle timeout; default: twice the ping interval plus the margin"
    )
    deregistration_delay_seconds: int | None = Field(
        default=None, description="target group's deregistration delay; default: drain plus margin"
    )
    stop_timeout_seconds: int | None = Field(
        default=None, description="ECS stopTimeout; default: drain plus two margins"
    )

    @property
    def idle_timeout(self) -> int:
        """ALB idle timeout: a lost ping must not cut a live connection, so two of them fit."""
        return self.idle_timeout_seconds or 2 * self.ping_interval_seconds + self.margin_seconds

    @property
    def keep_alive(self) -> int:
        """The app keeps an idle connection longer than the balancer does."""
        return self.idle_timeout + _REGISTRATION_LAG

    @property
    def deregistration_delay(self) -> int:
        """How long the balancer lets open requests finish on a target that leaves."""
        explicit = self.deregistration_delay_seconds
        return self.drain_seconds + self.margin_seconds if explicit is None else explicit

    @property
    def shutdown_timeout(self) -> int:
        """The app's own hard deadline after SIGTERM, below the one of ECS."""
        return self.drain_seconds + self.margin_seconds

    @property
    def stop_timeout(self) -> int:
        """ECS sends SIGKILL this long after SIGTERM."""
        return self.stop_timeout_seconds or self.drain_seconds + 2 * self.margin_seconds

    @property
    def delete_timeout(self) -> int:
        """How long Pulumi waits for a service to go: both delays, for two deployments, and ten minutes."""
        return 2 * (self.deregistration_delay + self.stop_timeout) + 600

    def balanced_environment(self) -> dict[str, str]:
        """The variables of a service behind the balancer, beside those of every service."""
        return {"LINGER_SECONDS": str(self.linger_seconds)}

    def environment(self) -> dict[str, str]:
        """The variables of every service."""
        return {
            "DRAIN_SECONDS": str(self.drain_seconds),
            "SHUTDOWN_SECONDS": str(self.shutdown_timeout),
            "KEEP_ALIVE_SECONDS": str(self.keep_alive),
        }

    def websocket_environment(self) -> dict[str, str]:
        """The variables of a service that also holds websockets."""
        return {**self.environment(), "PING_INTERVAL_SECONDS": str(self.ping_interval_seconds)}

    @model_validator(mode="after")
    def _possible(self) -> DrainConfig:
        ping, drain, margin = self.ping_interval_seconds, self.drain_seconds, self.margin_seconds
        rules = (
            (
                self.idle_timeout > ping,
                (
                    f"the ALB idle timeout ({self.idle_timeout} s) must exceed the ping interval ({ping} s), "
                    "or quiet websockets are cut"
                ),
            ),
            (
                self.linger_seconds < drain,
                (
                    f"linger_seconds ({self.linger_seconds} s) must be below the drain time ({drain} s), or "
                    "nothing is left of it to finish requests"
                ),
            ),
            (
                self.idle_timeout <= ALB_IDLE_TIMEOUT,
                (f"the ALB idle timeout ({self.idle_timeout} s) may be at most {ALB_IDLE_TIMEOUT} s"),
            ),
            (
                self.deregistration_delay >= drain,
                (
                    f"the deregistration delay ({self.deregistration_delay} s) must be at least the drain "
                    f"time ({drain} s), or the balancer cuts connections that still drain"
                ),
            ),
            (
                self.deregistration_delay <= DEREGISTRATION_DELAY,
                (
                    f"the deregistration delay ({self.deregistration_delay} s) may be at most "
                    f"{DEREGISTRATION_DELAY} s"
                ),
            ),
            (
                self.stop_timeout >= drain + margin,
                (
                    f"stopTimeout ({self.stop_timeout} s) must be at least drain plus margin "
                    f"({drain} + {margin} s), or ECS kills what still drains"
                ),
            ),
            (
                self.stop_timeout <= FARGATE_STOP_TIMEOUT,
                (
                    f"stopTimeout ({self.stop_timeout} s) may be at most {FARGATE_STOP_TIMEOUT} s on "
                    "Fargate: lower drain_seconds or margin_seconds"
                ),
            ),
        )
        broken = [message for holds, message in rules if not holds]
        if broken:
            raise ValueError("; ".join(broken))
        return self
