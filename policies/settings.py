"""The pack's configuration: one model per policy, from `config.<stack>.json` or handed over by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from policies.problems import Problem, from_pydantic, told

# a control's id, or a family
_SELECTOR: Final = r"^(SLP-[A-Z]{3}-[0-9]{3}|[a-z]+(-[a-z]+)*)$"


class PackConfigError(Exception):
    """The pack's configuration is wrong, in one or several places."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(told(source, problems))
        self.problems = list(problems)


Reason = Annotated[str, Field(min_length=15, description="why, in a sentence")]


class Settings(BaseModel):
    """What every policy has."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    undecided: Literal["fail", "report"] = Field(
        default="fail", description="what an undecided control means: a violation, or a line in the report"
    )


class ControlSettings(Settings):
    """Which controls judge, and which of them only report."""

    disabled: dict[Annotated[str, Field(pattern=_SELECTOR)], Reason] = Field(
        default_factory=dict[str, str],
        description="controls or families that do not judge this stack, each with the reason",
    )
    advisory: tuple[Annotated[str, Field(pattern=_SELECTOR)], ...] = Field(
        default=(), description="controls or families whose findings are reported and stop nothing"
    )
    production: bool = Field(
        default=True, description="whether people depend on the stack: it survives the loss of a zone"
    )


class ResourceSettings(ControlSettings):
    """Controls of one resource."""

    services_without_source: tuple[str, ...] = Field(
        default=("ec2.amazonaws.com", "lambda.amazonaws.com", "edgelambda.amazonaws.com"),
        description="services that cannot say on whose behalf they come: none is asked for aws:SourceAccount",
    )
    service_users: tuple[str, ...] = Field(
        default=(), description="names of IAM users that a machine cannot do without, such as SMTP senders"
    )
    max_session_seconds: int = Field(
        default=3600, ge=3600, le=43200, description="how long a session of a role may last"
    )
    require_boundary: bool = Field(
        default=False, description="whether every role needs a permissions boundary"
    )
    required_tags: tuple[str, ...] = Field(
        default=("stack", "tier", "owner", "cost-center"), description="keys that everything taggable carries"
    )
    database_sizes: tuple[str, ...] = Field(
        default=("db.*.micro", "db.*.small", "db.*.medium", "db.*.large", "db.*.xlarge", "db.*.2xlarge"),
        description="patterns of database classes that the stack may have",
    )
    cache_sizes: tuple[str, ...] = Field(
        default=("cache.*.micro", "cache.*.small", "cache.*.medium", "cache.*.large", "cache.*.xlarge"),
        description="patterns of cache nodes that it may have",
    )
    instance_sizes: tuple[str, ...] = Field(
        default=("t*.*", "g4dn.xlarge", "g5.xlarge", "g6.xlarge", "*.medium", "*.large", "*.xlarge"),
        description="patterns of instance types that it may have",
    )
    max_tasks: int = Field(default=50, ge=1, description="ceiling of an autoscaled service")
    max_instances: int = Field(default=20, ge=1, description="ceiling of a group of instances")
    max_function_concurrency: int = Field(default=500, ge=1, description="ceiling of one function")
    max_storage_gb: int = Field(default=2000, ge=20, description="ceiling of a database's storage")


class RelationSettings(ControlSettings):
    """Controls of the relations of a stack."""

    trusted_subnets: tuple[str, ...] = Field(
        default=(), description="ids of subnets outside this stack that are known to be private"
    )
    public_ports: tuple[int, ...] = Field(
        default=(80, 443), description="ports that a public load balancer may open to the world"
    )
    managed_policies: tuple[str, ...] = Field(
        default=(),
        description="ARNs of AWS's own policies that may be attached, beside the service-role ones",
    )
    account_concurrency: int = Field(
        default=1000, ge=100, description="how many executions of Lambda the account may have at once"
    )
    database_variables: tuple[str, ...] = Field(
        default=("DATABASE_HOST", "DATABASE_URL", "DB_HOST", "PGHOST"),
        description="variables by which a container says that it is a client of the database",
    )
    pool_variables: tuple[str, ...] = Field(
        default=("DATABASE_POOL_SIZE", "DB_POOL_SIZE", "POOL_SIZE"),
        min_length=1,
        description="variables by which it says how many connections a task may hold",
    )
    spare_connections: int = Field(
        default=20, ge=0, description="connections kept for operators, migrations and RDS itself"
    )
    required_tags: tuple[str, ...] = Field(
        default=("stack", "tier", "owner", "cost-center"), description="keys by which the bill is split"
    )
    activated_tags: tuple[str, ...] = Field(
        default=(),
        description="keys that an administrator of the payer account says are active for cost allocation",
    )
    max_nat_gateways: int = Field(default=3, ge=0, description="how many NAT gateways the stack may have")
    max_interface_endpoints: int = Field(
        default=12, ge=0, description="how many interface endpoints it may have"
    )


class BudgetSettings(ControlSettings):
    """Budget."""

    max_unpriced: int = Field(default=0, ge=0, description="how many resources may have no known price")
    exposure_factor: float = Field(
        default=3.0,
        ge=1,
        description="how many times the budget the stack may cost with every autoscaling at its ceiling",
    )
    price_age_days: int = Field(default=365, ge=1, description="how old a price may be")
    usage: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict[str, float],
        description="expected use of the stack in a month, by the price's name (`nat.gb: 100`) or for the "
        "resources with a name (`sqs.request@*-jobs: 1000000`); shared equally, and over what the stack's "
        "own DeclaredUsage says",
    )


class WaiverSettings(Settings):
    """Waivers."""

    max_matches: int = Field(default=20, ge=1, description="a waiver that covers more findings is too broad")


SETTINGS: Final[Mapping[str, type[Settings]]] = {
    "resources": ResourceSettings,
    "relations": RelationSettings,
    "budget": BudgetSettings,
    "waivers": WaiverSettings,
    "undecided": Settings,
}


def in_production(settings: Settings) -> bool:
    """Whether the controls hold that only a stack with users needs."""
    return not isinstance(settings, ControlSettings) or settings.production


def parse(policy: str, values: Mapping[str, Any], source: str = "the configuration") -> Settings:
    """One policy's settings."""
    try:
        return SETTINGS[policy].model_validate(values)
    except ValidationError as error:
        raise PackConfigError(source, mistakes(policy, error)) from error


def mistakes(policy: str, error: ValidationError) -> list[Problem]:
    """What is wrong with one policy's settings."""
    return [from_pydantic(each, SETTINGS[policy], policy) for each in error.errors(include_url=False)]
