"""Who may do what: the documents of identities, gathered over the graph, and how statements are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.control import PASS, Verdict, fail
from policies.documents import Condition, Document, DocumentError, Statement, parse
from policies.graph import Graph, Node
from policies.reader import MISSING, UNKNOWN, UndecidedError

ROLE: Final = "aws:iam/role:Role"
POLICY: Final = "aws:iam/policy:Policy"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
# what carries an identity policy; a role carries those that it was given inline
CARRIERS: Final = (
    ROLE_POLICY,
    POLICY,
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
    ROLE,
)
# what joins a policy to an identity, and by which property it names the role (or several)
ATTACHMENTS: Final = {
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "role",
    "aws:iam/policyAttachment:PolicyAttachment": "roles",
}

# that a request must be alike, not that it must not: only these narrow an Allow
_NARROWING: Final = frozenset(
    (
        *("stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"),
        *("foranyvalue:stringequals", "foranyvalue:stringlike", "foranyvalue:arnequals"),
        *("foranyvalue:arnlike", "bool", "numericequals"),
    )
)
_ARN_PARTS: Final = 6


def documents(carrier: Node) -> list[Document]:
    """The identity policies that stand in a resource; a role has as many as were given inline."""
    if carrier.type != ROLE:
        return [parse(carrier.get("policy"), "policy")]
    found: list[Document] = []
    for index, block in enumerate(carrier.blocks("inlinePolicies")):
        # a block without a policy is how the provider says "no other inline policies"
        if block.get("policy") is not MISSING:
            found.append(parse(block.get("policy"), f"inlinePolicies.{index}.policy"))
    return found


Offence = Callable[[Statement], "str | Verdict | None"]


def judge(texts: Iterable[Document], offence: Offence, *parts: str) -> Verdict:
    """The first Allow that offends; failing that, undecided when one of these parts is not known anywhere."""
    documents_ = list(texts)
    open_: Verdict | None = None
    for document in documents_:
        for index, statement in enumerate(document):
            said = offence(statement) if statement.allows else None
            if isinstance(said, str):
                return fail(f"{said} (statement {statement.sid or index} of {document.source})")
            open_ = open_ or said
    for document in documents_:
        document.decided(*parts)
    return open_ or PASS


def judged(carrier: Node, offence: Offence, *parts: str) -> Verdict | None:
    """The verdict on what stands in a resource, None where nothing does; what is no document at all fails."""
    try:
        found = documents(carrier)
        return judge(found, offence, *parts) if found else None
    except DocumentError as error:
        return fail(str(error))


def narrows(statement: Statement, *keys: str) -> bool:
    """Whether a condition on one of the keys bounds the Allow; `aws:ResourceTag/` is all that start so."""
    return any(
        _narrow(condition)
        for condition in statement.conditions
        if any(_is_key(condition.key, key) for key in keys)
    )


def _is_key(given: str, wanted: str) -> bool:
    given, wanted = given.lower(), wanted.lower()
    return given.startswith(wanted) if wanted.endswith(("/", ":")) else given == wanted


def _narrow(condition: Condition) -> bool:
    return condition.operator.lower() in _NARROWING and all(_bounds(value) for value in condition.values)


def _bounds(value: str) -> bool:
    """Whether a value says anything: a bare star does not, nor does an ARN of any account's anything."""
    if not value.strip("*"):
        return False
    parts = value.split(":", _ARN_PARTS - 1)
    if len(parts) < _ARN_PARTS or parts[0] != "arn":
        return True
    account, resource = parts[4], parts[5]
    # only S3's ARNs have no account, and its bucket names are the world's
    return bool(resource.strip("*/")) if account == "" else account != "*"


@dataclass(frozen=True)
class Held:
    """What one identity holds: its documents, each with the resources by which it gets there."""

    documents: tuple[tuple[Document, tuple[Node, ...]], ...]
    elsewhere: tuple[str, ...] = ()  # ARNs of policies that this stack does not have
    strays: tuple[str, ...] = ()  # inputs that may join another policy to it, once they are known

    def __iter__(self) -> Iterator[tuple[Statement, tuple[Node, ...]]]:
        for document, path in self.documents:
            for statement in document:
                yield statement, path

    def decided(self, *parts: str) -> None:
        """Raise for the first of these parts that is not known."""
        for document, _ in self.documents:
            document.decided(*parts)
        if self.strays:
            raise UndecidedError(self.strays[0])


def identities(graph: Graph) -> list[Node]:
    """Every role, and every policy that no role of this stack holds: it is judged by itself."""
    roles = graph.of_type(ROLE)
    joined = {id(path[-1]) for role in roles for path in _paths(graph, role)}
    return [*roles, *(each for each in graph.of_type(*CARRIERS[:-1]) if id(each) not in joined)]


def held(graph: Graph, identity: Node) -> Held:
    """All that a role holds: inline, as resources of their own, attached; of a lone policy itself."""
    found = [(document, (identity,)) for document in documents(identity)]
    if identity.type != ROLE:
        return Held(tuple(found))
    for path in _paths(graph, identity):
        found += [(document, (identity, *path)) for document in documents(path[-1])]
    strays = [
        f"{key} of {stray.label}"
        for type_, key in {ROLE_POLICY: "role", **ATTACHMENTS}.items()
        for stray in graph.perhaps_about(identity, type_, key)
    ]
    strays += [f"{key} of {node.label}" for node, key in _named(graph, identity) if _unseen(graph, node, key)]
    return Held(tuple(found), tuple(_elsewhere(graph, identity)), tuple(strays))


def _paths(graph: Graph, role: Node) -> Iterator[tuple[Node, ...]]:
    for policy in graph.about(role, ROLE_POLICY, "role"):
        yield (policy,)
    for attachment in _attachments(graph, role):
        for policy in policies_of(graph, attachment, "policyArn"):
            yield attachment, policy
    for policy in policies_of(graph, role, "managedPolicyArns"):
        yield (policy,)


def _attachments(graph: Graph, role: Node) -> list[Node]:
    return [
        attachment
        for type_, key in ATTACHMENTS.items()
        for attachment in graph.of_type(type_)
        if graph.refers(attachment, key, role) or any(each in role.names for each in _texts(attachment, key))
    ]


def _elsewhere(graph: Graph, role: Node) -> Iterator[str]:
    for node, key in _named(graph, role):
        here = {name for policy in policies_of(graph, node, key) for name in policy.names}
        yield from (arn for arn in _texts(node, key) if _last(arn) not in here)


def _named(graph: Graph, role: Node) -> list[tuple[Node, str]]:
    """Where ARNs of a role's policies stand."""
    return [(role, "managedPolicyArns"), *((each, "policyArn") for each in _attachments(graph, role))]


def _unseen(graph: Graph, node: Node, key: str) -> bool:
    """Whether a policy is named of which nothing is known, not even that it is of this stack."""
    value = node.get(key)
    unknown = value is UNKNOWN or (isinstance(value, list) and UNKNOWN in value)
    return unknown and not policies_of(graph, node, key)


def policies_of(graph: Graph, node: Node, key: str) -> list[Node]:
    """The policies of this stack that a property names: by output, or by an ARN that ends in their name."""
    made = node.made_from(key, POLICY)
    names = {_last(arn) for arn in _texts(node, key) if ":iam::aws:policy/" not in arn}
    return [*made, *(each for each in graph.of_type(POLICY) if each not in made and names & each.names)]


def _texts(node: Node, key: str) -> list[str]:
    value = node.get(key)
    many = cast("list[Any]", value if isinstance(value, list) else [value])
    return [each for each in many if isinstance(each, str)]


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


def source_known(statement: Statement, silent: Iterable[str]) -> bool:
    """Whether every service of an Allow must say on whose behalf it comes; `silent` ones cannot say it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    services = {each.value for each in statement.principals or () if each.kind == "Service"}
    return not services - set(silent) or narrows(
        statement,
        *("aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"),
        # KMS tells a service's callers apart by what they encrypt
        *("kms:EncryptionContext:", "kms:CallerAccount"),
    )
