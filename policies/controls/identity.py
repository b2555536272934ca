"""Least privilege in what one policy says: actions one by one, resources by name, roles by exact ARN."""

from __future__ import annotations

import re
from typing import Any, Final

from policies.actions import everything, needs_star
from policies.control import Verdict, fail, one, undecided
from policies.documents import DocumentError, Principal, Statement, parse
from policies.example import Example, example, res, to_json
from policies.frameworks import maps
from policies.graph import Node
from policies.identity import CARRIERS, ROLE, judge, judged, narrows, source_known
from policies.settings import ResourceSettings, Settings

_ACTION: Final = re.compile(r"[A-Za-z0-9-]{1,40}:[A-Za-z0-9*?]{1,80}|\*")
_ACCOUNT: Final = re.compile(r"\d{12}|arn:aws[a-z-]*:iam::\d{12}:root")
_QUEUE: Final = "arn:aws:sqs:us-east-1:111111111111:jobs"
_ROLE: Final = "arn:aws:iam::111111111111:role/api-task"
_KEYS: Final = "arn:aws:kms:us-east-1:111111111111:key/*"
_GUIDE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege"
_DEPUTY: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"
# what decrypts: the two that Security Hub's KMS.1 and KMS.2 look for
_DECRYPT: Final = ("kms:Decrypt", "kms:ReEncryptFrom")


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """A document in an example."""
    return to_json({"Version": "2012-10-17", "Statement": list(statements)})


def _allowing(action: Any, resource: Any = _QUEUE, **more: Any) -> Example:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return example(it=res("iam/RolePolicy", role="api-task", policy=policy(statement)))


def _inline(action: str) -> Example:
    statement = {"Effect": "Allow", "Action": action, "Resource": _QUEUE}
    return example(it=res("iam/Role", inlinePolicies=[{"name": "own", "policy": policy(statement)}]))


def named(action: str) -> str:
    """An action for a message; what does not look like one is not repeated."""
    return action if _ACTION.fullmatch(action) else "something that is no action"


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


@one(
    "SLP-IAM-001",
    "No policy allows every action",
    "critical",
    "identity",
    frameworks=maps("IAM.1", checkov="62 63"),
    rationale="Whoever holds such a policy, or breaks into what holds it, owns the account.",
    remediation="name the actions that are used, one by one",
    applies_to=CARRIERS,
    waivable=False,
    bad=(
        _allowing("*"),
        _allowing(["sqs:SendMessage", "*"]),
        _allowing("*:*"),
        _inline("*"),
        example(
            it=res(
                "iam/Policy",
                policy=policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
            )
        ),
    ),
    good=(
        _allowing("sqs:SendMessage"),
        _inline("sqs:SendMessage"),
        example(it=res("iam/Policy", policy=policy({"Effect": "Deny", "Action": "*", "Resource": "*"}))),
    ),
)
def every_action(carrier: Node, _settings: Settings) -> Verdict | None:
    """`*`, `*:*`, or all but what NotAction names; a Deny may say so."""

    def offence(statement: Statement) -> str | None:
        if statement.not_actions is not None:
            return "allows everything but what NotAction names"
        return (
            "allows every action" if any(not each.strip("*:?") for each in statement.actions or ()) else None
        )

    return judged(carrier, offence, "Action", "NotAction")


@one(
    "SLP-IAM-002",
    "Actions are named one by one",
    "high",
    "identity",
    frameworks=maps("IAM.21", nag="IAM5"),
    rationale="`sqs:*` is more than a service needs today, and grows with every action that AWS adds.",
    remediation="replace the wildcard by the actions that are used",
    applies_to=CARRIERS,
    bad=(_allowing("sqs:*"), _allowing(["sqs:SendMessage", "s3:Get*"]), _inline("sqs:?endMessage")),
    good=(_allowing(["sqs:SendMessage", "sqs:GetQueueUrl"]), _inline("sqs:SendMessage")),
)
def service_wildcard(carrier: Node, _settings: Settings) -> Verdict | None:
    """Any wildcard inside an action's name; the whole star is SLP-IAM-001."""

    def offence(statement: Statement) -> str | None:
        wild = [each for each in statement.actions or () if _wild(each) and each.strip("*:?")]
        return f"allows {named(wild[0])}" if wild else None

    return judged(carrier, offence, "Action")


@one(
    "SLP-IAM-003",
    "Resources are named where the action has any",
    "high",
    "identity",
    frameworks=maps(nag="IAM5", checkov="355"),
    rationale="An action on `*` reaches what other stacks own in the same account.",
    remediation="give the ARNs; `*` is for actions that take no resource, such as ecr:GetAuthorizationToken",
    links=(_GUIDE,),
    applies_to=CARRIERS,
    bad=(
        _allowing("sqs:SendMessage", "*"),
        _allowing(["ecr:GetAuthorizationToken", "sqs:SendMessage"], [_QUEUE, "*"]),
        _allowing("s3:GetObject", "arn:aws:s3:::*/*"),
        example(
            it=res(
                "iam/Policy",
                policy=policy({"Effect": "Allow", "Action": "sqs:SendMessage", "NotResource": _QUEUE}),
            )
        ),
        example(it=res("iam/Policy", policy=policy({"Effect": "Allow", "Action": "sqs:SendMessage"}))),
    ),
    good=(
        _allowing("sqs:SendMessage"),
        _allowing("ecr:GetAuthorizationToken", "*"),
        _allowing("s3:GetObject", "arn:aws:s3:::data/*"),
    ),
)
def every_resource(carrier: Node, _settings: Settings) -> Verdict | None:
    """By a table of the actions that take none; a service that the table does not know is undecided."""

    def offence(statement: Statement) -> str | Verdict | None:
        if statement.not_resources is not None:
            return "allows all resources but those that NotResource names"
        if statement.resources is None:
            return "names no resource" if "Resource" not in statement.unknown else None
        if not any(everything(each) for each in statement.resources):
            return None
        open_ = None
        for action in statement.actions or ():
            star = None if _wild(action) else needs_star(action)
            if star is False or _wild(action):
                return f"allows {named(action)} on every resource"
            if star is None:
                open_ = undecided(
                    f"allows {named(action)} on every resource: whether it takes any is not known"
                )
        return open_

    return judged(carrier, offence, "Action", "Resource", "NotResource")


@one(
    "SLP-IAM-004",
    "Roles are handed over by exact ARN, to one service",
    "high",
    "identity",
    frameworks=maps(),
    rationale="With iam:PassRole on a pattern, one starts a task or function under a role that may do more.",
    remediation="name the role's ARN, and the service in the condition iam:PassedToService",
    links=("https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",),
    applies_to=CARRIERS,
    bad=(
        _allowing("iam:PassRole", _ROLE),
        _allowing(
            "iam:PassRole",
            "arn:aws:iam::111111111111:role/*",
            Condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        _allowing("iam:Pass*", _ROLE, Condition={"StringLike": {"iam:PassedToService": "*"}}),
        _allowing(
            "iam:PassRole",
            _ROLE,
            Condition={"StringNotEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
    ),
    good=(
        _allowing(
            "iam:PassRole",
            _ROLE,
            Condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        _allowing("sqs:SendMessage", "*"),
    ),
)
def pass_role(carrier: Node, _settings: Settings) -> Verdict | None:
    """Whatever names the action, a wildcard too."""

    def offence(statement: Statement) -> str | None:
        if not statement.names_action("iam:PassRole"):
            return None
        if statement.not_resources is not None or any(_wild(each) for each in statement.resources or ()):
            return "allows iam:PassRole for more than one role"
        services = [value for each in statement.condition("iam:PassedToService") for value in each.values]
        known = "Condition" not in statement.unknown
        if known and (not narrows(statement, "iam:PassedToService") or any(_wild(each) for each in services)):
            return "allows iam:PassRole to any service"
        return None

    return judged(carrier, offence, "Action", "NotAction", "Resource", "Condition")


@one(
    "SLP-IAM-005",
    "Decryption is allowed with named keys",
    "high",
    "identity",
    frameworks=maps("KMS.1 KMS.2"),
    rationale="kms:Decrypt on every key undoes the separation that different keys were made for.",
    remediation="name the key's ARN, or its alias in ForAnyValue:StringEquals kms:ResourceAliases",
    applies_to=CARRIERS,
    bad=(
        _allowing("kms:Decrypt", "*"),
        _allowing("kms:Decrypt", _KEYS),
        _allowing(
            "kms:Decrypt",
            _KEYS,
            Condition={"StringEquals": {"kms:ViaService": "ssm.us-east-1.amazonaws.com"}},
        ),
        _allowing("kms:ReEncrypt*", _KEYS),
        _allowing("kms:Decrypt", _KEYS, Condition={"ForAnyValue:StringLike": {"kms:ResourceAliases": "*"}}),
    ),
    good=(
        _allowing("kms:Decrypt", "arn:aws:kms:us-east-1:111111111111:key/1234"),
        _allowing(
            "kms:Decrypt",
            _KEYS,
            Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/slipway-dev-stack"}},
        ),
    ),
)
def decrypt(carrier: Node, _settings: Settings) -> Verdict | None:
    """A pattern of keys is accepted where a condition names the alias or a tag, since AWS chooses key ids."""

    def offence(statement: Statement) -> str | None:
        if not any(statement.names_action(action) for action in _DECRYPT):
            return None
        wide = statement.not_resources is not None or any(
            everything(each) or each.endswith(("key/*", "alias/*")) for each in statement.resources or ()
        )
        if not wide or narrows(statement, "kms:ResourceAliases", "aws:ResourceTag/"):
            return None
        return None if "Condition" in statement.unknown else "allows decryption with every key"

    return judged(carrier, offence, "Action", "NotAction", "Resource", "Condition")


def _trusting(principal: Any, **more: Any) -> Example:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}
    return example(it=res("iam/Role", assumeRolePolicy=policy(statement)))


_OURS: Final = {"StringEquals": {"aws:SourceAccount": "111111111111"}}
_HUB: Final = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"


@one(
    "SLP-IAM-006",
    "Roles are taken by exact principals, on this account's behalf",
    "high",
    "identity",
    frameworks=maps(checkov="60 61"),
    rationale="A service that anybody can ask takes the role for anybody: the confused deputy.",
    remediation="name the principal, and aws:SourceAccount or aws:SourceArn where it is a service",
    links=(_DEPUTY,),
    applies_to=(ROLE,),
    bad=(
        _trusting({"Service": "ecs-tasks.amazonaws.com"}),
        _trusting("*"),
        _trusting({"AWS": "*"}, Condition=_OURS),
        _trusting({"AWS": "arn:aws:iam::222222222222:root"}),
        _trusting({"AWS": "222222222222"}, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        _trusting({"Federated": _HUB}),
        _trusting(
            {"Federated": _HUB},
            Condition={"StringLike": {"token.actions.githubusercontent.com:sub": "*"}},
        ),
        _trusting(
            {"Service": "ecs-tasks.amazonaws.com"},
            Condition={"StringEqualsIfExists": {"aws:SourceAccount": "111111111111"}},
        ),
        _trusting(
            {"Service": "ecs-tasks.amazonaws.com"},
            Condition={"ArnLike": {"aws:SourceArn": "arn:aws:ecs:us-east-1:*:*"}},
        ),
    ),
    good=(
        _trusting({"Service": "ecs-tasks.amazonaws.com"}, Condition=_OURS),
        _trusting({"Service": "ec2.amazonaws.com"}),
        _trusting({"AWS": "arn:aws:iam::111111111111:role/deploy"}),
        _trusting(
            {"Federated": _HUB},
            Condition={
                "StringEquals": {"token.actions.githubusercontent.com:sub": "repo:a/b:ref:refs/heads/main"}
            },
        ),
        _trusting(
            {"AWS": "arn:aws:iam::222222222222:root"},
            Condition={"StringEquals": {"sts:ExternalId": "5f1c"}},
        ),
    ),
)
def trust(role: Node, settings: Settings) -> Verdict | None:
    """Services that cannot say on whose behalf they come are listed in the settings."""
    silent = settings.services_without_source if isinstance(settings, ResourceSettings) else ()

    def offence(statement: Statement) -> str | None:
        if statement.principals is None:
            return None if "Principal" in statement.unknown else "names nobody, or all but somebody"
        for principal in statement.principals:
            said = _trusted(principal, statement)
            if said:
                return said
        known = "Condition" not in statement.unknown
        if known and not source_known(statement, silent):
            return "a service may take the role on any account's behalf"
        return None

    try:
        return judge([parse(role.get("assumeRolePolicy"), "assumeRolePolicy")], offence, *_TRUST_PARTS)
    except DocumentError as error:
        return fail(str(error))


_TRUST_PARTS: Final = ("Principal", "NotPrincipal", "Condition", "Action")


def _trusted(principal: Principal, statement: Statement) -> str | None:
    """What is wrong with one principal of a trust policy, if it is known."""
    known = "Condition" not in statement.unknown
    if principal.everyone or _wild(principal.value):
        return "anybody may take the role"
    if principal.kind == "AWS" and _ACCOUNT.fullmatch(principal.value):
        narrow = narrows(statement, "sts:ExternalId", "aws:PrincipalArn", "aws:PrincipalTag/")
        return None if narrow or not known else "a whole account may take the role"
    if principal.kind == "Federated":
        subjects = [each.key for each in statement.conditions if each.key.lower().endswith((":sub", ":aud"))]
        needed = [key for key in subjects if key.lower() == "saml:aud" or key.lower().endswith(":sub")]
        return (
            None
            if not known or narrows(statement, *needed)
            else "whoever the provider knows may take the role"
        )
    return None


CONTROLS = (every_action, service_wildcard, every_resource, pass_role, decrypt, trust)
