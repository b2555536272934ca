"""The environment as typed settings: each app composes the groups it needs, and that is its contract.

`components.contract` reads the same classes at synth: every required field must come from a link or a
literal, and no variable may be set that no field reads. Field names in upper case are the variable names.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class ServiceSettings(BaseSettings):
    """What every process is told: who it is, where it listens, how long it may take to drain."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    stack: str
    service: str
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    bind_host: str = Field(default="127.0.0.1", description="0.0.0.0 only inside a container")
    port: int = Field(default=8000, ge=0, le=65535)
    drain_seconds: float = Field(default=20.0, gt=0, description="from SIGTERM to the last close frame")
    linger_seconds: float = Field(
        default=0.0, ge=0, description="answered on after SIGTERM, until no balancer routes here any more"
    )
    shutdown_seconds: float = Field(default=25.0, gt=0, description="hard deadline; below ECS stopTimeout")
    keep_alive_seconds: float = Field(
        default=75.0, gt=0, description="above the load balancer's idle timeout"
    )
    write_timeout_seconds: float = Field(
        default=45.0, ge=1, description="a peer that takes nothing for so long is cut; above STALL_SECONDS"
    )


class DatabaseSettings(BaseSettings):
    """PostgreSQL, always over TLS with the server's name checked (libpq `sslmode=verify-full`)."""

    database_host: str
    database_port: int = 5432
    database_name: str
    database_username: str
    database_password: SecretStr
    database_ca_file: str = Field(description="PEM bundle: the RDS global bundle on AWS")
    database_pool_size: int = Field(default=8, ge=1, le=200)
    database_start_seconds: float = Field(
        default=20.0, gt=0, description="how long a starting process waits for its first connection"
    )


class RedisSettings(BaseSettings):
    """A Redis-protocol server (Valkey), always over TLS and with a password."""

    redis_host: str
    redis_port: int = 6379
    redis_password: SecretStr
    redis_ca_file: str | None = Field(default=None, description="PEM bundle; none: the system's")


class AuthSettings(BaseSettings):
    """Any OIDC issuer: tokens are verified against its keys, issuer and audience."""

    auth_issuer: str
    auth_audience: str
    auth_jwks_url: str


class KindRule(BaseModel):
    """When entities of one kind are shown: from a zoom on, and how far around what a client looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_zoom: float = Field(default=0.0, ge=0, le=30, description="views below this zoom do not get the kind")
    margin_degrees: float = Field(
        default=0.0, ge=0, le=360, description="a view is grown by so much on every side"
    )
    margin_fraction: float = Field(
        default=0.0, ge=0, le=10, description="and by this part of its height or width"
    )


class ViewSettings(BaseSettings):
    """What a view takes in; told alike to gateway and filter processor, that snapshots and changes agree."""

    kind_rules: dict[str, KindRule] = Field(
        default={}, max_length=64, description="by kind; `*` is every kind without a rule of its own"
    )


class SettingsError(Exception):
    """The environment does not fulfil an app's contract; `problems` has one line per bad variable."""

    def __init__(self, contract: str, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{contract}: {len(problems)} variable(s) of the environment are missing or wrong\n{lines}\n"
            "hint: set them where this process gets its environment "
            "(on AWS the task definition, which the links of its component fill)"
        )


def load_settings(contract: type[SettingsT]) -> SettingsT:
    """Read the environment; every mistake is reported at once, and no value that may be a secret is shown."""
    try:
        return contract()
    except ValidationError as error:
        raise SettingsError(contract.__name__, _problems(contract, error)) from None


def _problems(contract: type[BaseSettings], error: ValidationError) -> list[str]:
    lines: list[str] = []
    for item in error.errors(include_url=False, include_context=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        variable = field.upper() or "(several)"
        if item["type"] == "missing":
            info = contract.model_fields.get(field)
            wanted = f" ({info.description})" if info is not None and info.description else ""
            lines.append(f"{variable}: missing{wanted}")
            continue
        shown = (
            "" if _secret(contract, field) else f", found {type(item['input']).__name__} {item['input']!r}"
        )
        lines.append(f"{variable}: {item['msg'][0].lower()}{item['msg'][1:]}{shown}")
    return sorted(lines)


def _secret(contract: type[BaseSettings], field: str) -> bool:
    info = contract.model_fields.get(field)
    return info is None or "SecretStr" in str(info.annotation)
