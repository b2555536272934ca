"""The verdict of IAM on one request of a role: its own policies and its boundary, a Deny before any Allow.

Pure: documents in, verdict out. Resource policies, service control policies and session policies are no part
of it, so an `allowed` here is what the role itself brings.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.iam.conditions import holds
from lab.iam.patterns import Context, expand, expand_widest, names_resource
from policies.documents import Document, Statement

Outcome = Literal["allowed", "denied", "not allowed"]  # by a Deny; by no Allow


def context(values: Mapping[str, str | Sequence[str]]) -> Context:
    """Condition keys as the evaluator wants them."""
    return {
        key.lower(): (value,) if isinstance(value, str) else tuple(value) for key, value in values.items()
    }


@dataclass(frozen=True)
class Request:
    """One action on one resource; `*` for an action that has none."""

    action: str
    resource: str
    context: Context = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class Verdict:
    """What comes out, and the statement that decided it; None when nothing said anything."""

    outcome: Outcome
    statement: Statement | None = None
    why: str = ""

    @property
    def allowed(self) -> bool:
        """Whether AWS would do it."""
        return self.outcome == "allowed"


def applies(statement: Statement, request: Request) -> bool:
    """Whether a statement of an identity policy speaks of this request."""
    return (
        statement.names_action(request.action)
        and _names_resource(statement, request)
        and all(holds(condition, request.context) for condition in statement.conditions)
    )


def _names_resource(statement: Statement, request: Request) -> bool:
    if statement.resources is not None:
        known = (expand(each, request.context) for each in statement.resources)
        return any(names_resource(each, request.resource) for each in known if each is not None)
    if statement.not_resources is not None:
        widest = (expand_widest(each, request.context) for each in statement.not_resources)
        return not any(names_resource(each, request.resource) for each in widest)
    return False  # an identity policy without either is refused by IAM


def decide(
    policies: Sequence[Document], request: Request, boundary: Sequence[Document] | None = None
) -> Verdict:
    """The verdict; UndecidedError when a part of a document is not known."""
    for document in (*policies, *(boundary or ())):
        document.decided()
    denial = _first(policies, request, "Deny") or _first(boundary or (), request, "Deny")
    if denial is not None:
        return Verdict("denied", denial, "a Deny speaks of it")
    grant = _first(policies, request, "Allow")
    if grant is None:
        return Verdict("not allowed", None, "no statement allows it")
    if boundary is not None and _first(boundary, request, "Allow") is None:
        return Verdict("not allowed", None, "the permissions boundary does not allow it")
    return Verdict("allowed", grant)


def _first(documents: Sequence[Document], request: Request, effect: str) -> Statement | None:
    statements = (each for document in documents for each in document if each.effect == effect)
    return next((each for each in statements if applies(each, request)), None)
