"""The pack's configuration: one model per policy, from `config.<stack>.json` or handed over by the engine."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from policies.pricing import table as prices
from policies.pricing.usage import price_of

LEVELS: Final = ("advisory", "mandatory", "disabled")
_LEVEL_KEY: Final = "enforcementLevel"
# a control's id, or a family
_SELECTOR: Final = r"^(SLP-[A-Z]{3}-[0-9]{3}|[a-z]+(-[a-z]+)*)$"


class PackConfigError(Exception):
    """The pack's configuration is wrong, in one or several places."""

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__("\n".join([f"{source} is not a valid configuration of the pack:", *problems]))
        self.problems = problems


class Settings(BaseModel):
    """What every policy has."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    undecided: Literal["fail", "report"] = Field(
        default="fail", description="what an undecided control means: a violation, or a line in the report"
    )


class ControlSettings(Settings):
    """Which controls judge, and which of them only report."""

    disabled: tuple[Annotated[str, Field(pattern=_SELECTOR)], ...] = Field(
        default=(), description="controls or families that do not judge this stack"
    )
    advisory: tuple[Annotated[str, Field(pattern=_SELECTOR)], ...] = Field(
        default=(), description="controls or families whose findings are reported and stop nothing"
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


def parse(policy: str, values: Mapping[str, Any], source: str = "the configuration") -> Settings:
    """One policy's settings."""
    problems: list[str] = []
    settings = _parse(policy, values, problems)
    if settings is None:
        raise PackConfigError(source, problems)
    return settings


def load(path: Path) -> dict[str, dict[str, Any]]:
    """A `config.<stack>.json`, checked whole; the engine itself ignores unknown policy names."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PackConfigError(path.name, [f"  it cannot be read: {error}"]) from error
    if not isinstance(document, dict):
        raise PackConfigError(path.name, ["  it must be an object with a key per policy"])
    config = cast("dict[str, Any]", document)
    problems: list[str] = []
    for policy, values in config.items():
        if policy not in SETTINGS and policy != "all":
            problems.append(f"  {policy}: no such policy{_nearest(policy, list(SETTINGS))}")
        elif isinstance(values, dict):
            _check(policy, cast("dict[str, Any]", values), problems)
        elif values not in LEVELS:
            problems.append(f"  {policy}: {values!r} is none of {', '.join(LEVELS)}")
    if problems:
        raise PackConfigError(path.name, problems)
    return {
        name: ({_LEVEL_KEY: values} if isinstance(values, str) else values) for name, values in config.items()
    }


def _check(policy: str, values: dict[str, Any], problems: list[str]) -> None:
    level = values.get(_LEVEL_KEY, "mandatory")
    if level not in LEVELS:
        problems.append(f"  {policy}.{_LEVEL_KEY}: {level!r} is none of {', '.join(LEVELS)}")
    if policy == "budget":
        known = prices.load().ids()
        problems.extend(
            f"  budget.usage.{name}: no such price{_nearest(name, known)}"
            for name in values.get("usage", {})
            if price_of(name) not in known
        )
    if policy != "all":
        _parse(policy, {key: value for key, value in values.items() if key != _LEVEL_KEY}, problems)


def _parse(policy: str, values: Mapping[str, Any], problems: list[str]) -> Settings | None:
    model = SETTINGS[policy]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        known = [field.alias or name for name, field in model.model_fields.items()]
        for each in error.errors(include_url=False):
            where = ".".join(str(part) for part in (policy, *each["loc"]))
            if each["type"] == "extra_forbidden":
                problems.append(f"  {where}: no such key{_nearest(str(each['loc'][-1]), known)}")
            else:
                problems.append(f"  {where}: {each['msg']} (found {each['input']!r})")
    return None


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
