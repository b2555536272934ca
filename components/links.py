"""Links: what one component gives another, as environment, permissions and a network rule in one piece."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pulumi

    from components.base import Context

# defaults come from a factory: before Python 3.12 a mapping proxy has no hash and dataclasses refuse it
_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_CONDITIONS: Mapping[str, Mapping[str, str | Sequence[str]]] = MappingProxyType({})


class LinkError(ValueError):
    """Two links disagree, or a statement grants more than it may."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """An IAM statement of exact actions on exact ARNs: literals only, so that it is known at preview."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(
        default_factory=lambda: _NO_CONDITIONS
    )

    def __post_init__(self) -> None:
        """Refuse what a link may never say: wildcard actions, or every resource without a condition."""
        wild = [action for action in self.actions if "*" in action]
        if wild:
            raise LinkError(f"statement {self.sid}: wildcard action {', '.join(wild)}; name each action")
        if not self.actions or not self.resources:
            raise LinkError(f"statement {self.sid}: needs at least one action and one resource")
        if "*" in self.resources and not self.conditions:
            raise LinkError(f"statement {self.sid}: every resource and no condition; name the ARNs")

    def document(self) -> dict[str, Any]:
        """The statement as IAM writes it."""
        body: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": sorted(self.resources),
        }
        if self.conditions:
            body["Condition"] = {
                operator: {
                    key: value if isinstance(value, str) else list(value) for key, value in keys.items()
                }
                for operator, keys in self.conditions.items()
            }
        return body


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """The linked side's security group lets the service in on one port."""

    security_group_id: pulumi.Input[str]
    port: int
    description: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a service gets by linking: variables, secrets, permissions, one way in, and what must exist first.

    `environment` holds literals; `secrets` maps a variable to the computed ARN of an SSM parameter (the
    execution role reads it); `kms_aliases` are the keys those parameters are encrypted with.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    secrets: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    statements: tuple[Statement, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    kms_aliases: tuple[str, ...] = ()
    depends_on: tuple[pulumi.Resource, ...] = field(default=(), repr=False)


def policy_document(statements: Iterable[Statement]) -> str:
    """An identity policy as JSON text, the only form that the AWS provider's types agree on."""
    return json.dumps({"Version": "2012-10-17", "Statement": [each.document() for each in statements]})


def trust_policy(ctx: Context, service: str, source_arn: str | None = None) -> str:
    """Only this service, and only for this account, may take the role (the confused deputy problem).

    `source_arn` narrows it further where the service says on whose behalf it comes, as ECS does:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    """
    conditions: dict[str, dict[str, str]] = {"StringEquals": {"aws:SourceAccount": ctx.account_id}}
    if source_arn is not None:
        conditions["ArnLike"] = {"aws:SourceArn": source_arn}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "sts:AssumeRole",
                    "Condition": conditions,
                }
            ],
        }
    )


def merge(links: Iterable[Link], *, service: str) -> Link:
    """All links of a service as one; a variable given twice with different values is an error."""
    environment: dict[str, str] = {}
    secrets: dict[str, str] = {}
    origin: dict[str, str] = {}
    statements: dict[str, Statement] = {}
    ingress: list[Ingress] = []
    aliases: dict[str, None] = {}
    depends_on: list[pulumi.Resource] = []
    for link in links:
        for target, other, values in (
            (environment, secrets, link.environment),
            (secrets, environment, link.secrets),
        ):
            for name, value in values.items():
                if name in other or target.get(name, value) != value:
                    raise LinkError(
                        f"service {service}: {name} is given by link {origin[name]!r} and, differently, "
                        f"by link {link.name!r}"
                    )
                target[name] = value
                origin[name] = link.name
        for statement in link.statements:
            if statements.setdefault(statement.sid, statement) != statement:
                raise LinkError(
                    f"service {service}: two links use statement id {statement.sid!r} differently"
                )
        ingress.extend(link.ingress)
        aliases.update(dict.fromkeys(link.kms_aliases))
        depends_on.extend(each for each in link.depends_on if each not in depends_on)
    return Link(
        name=service,
        environment=environment,
        secrets=secrets,
        statements=tuple(statements.values()),
        ingress=tuple(ingress),
        kms_aliases=tuple(aliases),
        depends_on=tuple(depends_on),
    )


def kms_statement(ctx: Context, sid: str, *, alias: str, actions: Sequence[str], via: str) -> Statement:
    """Use of a key by its alias through one service.

    Key ids are chosen by AWS and unknown at preview, so the statement names the alias in a condition, as
    the KMS developer guide describes ("kms:ResourceAliases"), and the service that calls on one's behalf.
    """
    return Statement(
        sid=sid,
        actions=tuple(actions),
        resources=(ctx.arn("kms", "key/*"),),
        conditions={
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": [alias]},
            "StringEquals": {"kms:ViaService": f"{via}.{ctx.region}.amazonaws.com"},
        },
    )
