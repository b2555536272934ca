"""The roles of a resolved graph: their documents, their boundary, and what of them cannot be read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from lab.model import Graph, Resource
from policies.documents import Document, DocumentError, parse

ROLE: Final = "aws:iam/role:Role"
INLINE: Final = "aws:iam/rolePolicy:RolePolicy"
POLICY: Final = "aws:iam/policy:Policy"
ATTACHMENTS: Final = ("aws:iam/rolePolicyAttachment:RolePolicyAttachment",)


@dataclass
class Role:
    """One role and every document that gives or bounds its rights."""

    resource: Resource
    arn: str
    policies: list[Document] = field(default_factory=list[Document])
    boundary: list[Document] | None = None
    unread: list[str] = field(default_factory=list[str])  # ARNs of policies that are not in the graph

    @property
    def name(self) -> str:
        """The resource's name in the program, the same in every stack."""
        return self.resource.name

    @property
    def broken(self) -> bool:
        """Whether a document of it cannot be decided."""
        return bool(self.unread)


def roles(graph: Graph) -> list[Role]:
    """Every role with its inline policies, the attached ones and its boundary."""
    managed = {str(one.outputs.get("arn")): one for one in graph.of_type(POLICY)}
    found = {str(one.inputs.get("name")): _role(one, managed) for one in graph.of_type(ROLE)}
    for one in graph.of_type(INLINE):
        role = found.get(str(one.inputs.get("role")))
        if role is not None:
            _add(role.policies, role, f"{one.name}.policy", one.inputs.get("policy"))
    for one in graph.of_type(*ATTACHMENTS):
        role = found.get(str(one.inputs.get("role")))
        if role is not None:
            _attach(role.policies, role, str(one.inputs.get("policyArn")), managed)
    return list(found.values())


def _role(one: Resource, managed: Mapping[str, Resource]) -> Role:
    made = Role(one, str(one.outputs.get("arn")))
    inline = cast("list[Mapping[str, Any]]", one.inputs.get("inlinePolicies") or [])
    for number, each in enumerate(inline):
        _add(made.policies, made, f"{one.name}.inlinePolicies.{number}", each.get("policy"))
    for arn in cast("list[str]", one.inputs.get("managedPolicyArns") or []):
        _attach(made.policies, made, str(arn), managed)
    boundary = one.inputs.get("permissionsBoundary")
    if boundary:
        made.boundary = []
        _attach(made.boundary, made, str(boundary), managed)
    return made


def _attach(target: list[Document], role: Role, arn: str, managed: Mapping[str, Resource]) -> None:
    if arn in managed:
        one = managed[arn]
        _add(target, role, f"{one.name}.policy", one.inputs.get("policy"))
    else:
        role.unread.append(arn)


def _add(target: list[Document], role: Role, source: str, value: object) -> None:
    try:
        document = parse(value, source)
    except DocumentError as error:
        role.unread.append(str(error))
        return
    if document.unknown or any(statement.unknown for statement in document):
        role.unread.append(f"{source}, which is not known")
        return
    target.append(document)
