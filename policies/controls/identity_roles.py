"""What a role holds in all, over every policy that reaches it, and who has which role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from policies.actions import EXFILTRATIONS, dangerous, escalations, everything
from policies.control import PASS, Verdict, each, fail, one, undecided, whole
from policies.controls.identity import policy
from policies.documents import DocumentError
from policies.example import Example, Resource, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.identity import CARRIERS, POLICY, ROLE, Held, held, identities
from policies.reader import MISSING, UNKNOWN, UndecidedError
from policies.settings import RelationSettings, ResourceSettings, Settings

TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
_FUNCTION_ARN: Final = "arn:aws:lambda:us-east-1:111111111111:function:resize"
_GUIDE: Final = "https://cloudsplaining.readthedocs.io/en/latest/glossary/privilege-escalation/"
_MANAGED: Final = "arn:aws:iam::aws:policy/"
_MANAGED_TYPES: Final = {
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
    "aws:iam/policyAttachment:PolicyAttachment": "policyArn",
    ROLE: "managedPolicyArns",
}


def _policy(action: Any, resource: str = _FUNCTION_ARN, effect: str = "Allow") -> Resource:
    return res(
        "iam/RolePolicy",
        role="worker",
        policy=policy({"Effect": effect, "Action": action, "Resource": resource}),
    )


def _worker(**others: Resource) -> Example:
    """A role by its name, with policies around it."""
    return example(it=res("iam/Role", name="worker"), **others)


@whole(
    "SLP-IAM-101",
    "No role can make itself greater",
    "critical",
    "identity",
    frameworks=maps(checkov="286 289"),
    rationale="Few permissions can be as good as all: iam:PassRole and lambda:CreateFunction run any role.",
    remediation="take one of the actions away, or move it to a role that only deploys",
    links=(_GUIDE, "https://pathfinding.cloud"),
    applies_to=CARRIERS,
    bad=(
        _worker(one=_policy("iam:PassRole"), two=_policy(["lambda:CreateFunction", "lambda:InvokeFunction"])),
        _worker(one=_policy("lambda:UpdateFunctionCode")),
        _worker(one=_policy("iam:Put*")),
        example(
            it=res("iam/Role", name="worker"),
            own=res(
                "iam/Policy",
                name="own",
                policy=policy({"Effect": "Allow", "Action": "iam:AttachRolePolicy", "Resource": "*"}),
            ),
            link=res("iam/RolePolicyAttachment", role="${it.name}", policyArn="${own.arn}"),
        ),
        example(it=_policy("iam:CreateAccessKey")),
    ),
    good=(
        _worker(one=_policy("iam:PassRole"), two=_policy("ecs:RunTask")),
        _worker(
            one=_policy("lambda:UpdateFunctionCode"), two=_policy("lambda:UpdateFunctionCode", "*", "Deny")
        ),
        _worker(),
    ),
    absent="pass",
)
def escalation(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """The policies of a role are read as one: each half of a way may stand in a policy of its own."""

    def judge(identity: Node) -> Verdict:
        try:
            holds = held(graph, identity)
        except DocumentError as error:
            return fail(str(error))
        granted = {action: path for action in dangerous() if (path := _granted(holds, action)) is not None}
        ways = escalations(granted)
        if ways:
            words, actions = ways[0]
            more = f", and {len(ways) - 1} more" if len(ways) > 1 else ""
            return fail(f"{words} ({' + '.join(actions)}){more}", path=granted[actions[-1]])
        holds.decided("Action", "NotAction")
        return PASS

    return each(identities(graph), judge)


def _granted(holds: Held, action: str) -> tuple[Node, ...] | None:
    """By which resources an action is allowed; a Deny of it on everything takes it away."""
    for statement, _ in holds:
        total = any(everything(each) for each in statement.resources or ())
        if not statement.allows and total and not statement.conditions and statement.names_action(action):
            return None
    return next(
        (path for statement, path in holds if statement.allows and statement.names_action(action)), None
    )


@whole(
    "SLP-IAM-102",
    "No role can carry all data away",
    "critical",
    "identity",
    frameworks=maps(checkov="288 287"),
    rationale="Reading every object, secret or parameter of the account is a leak that waits for a bug.",
    remediation="name the buckets, secrets and parameters that are read",
    links=(_GUIDE,),
    applies_to=CARRIERS,
    bad=(
        _worker(one=_policy("s3:GetObject", "*")),
        _worker(one=_policy("secretsmanager:*", "*")),
        _worker(one=_policy("ssm:GetParameter*", "arn:aws:ssm:us-east-1:111111111111:*")),
        example(it=_policy("rds:CopyDBSnapshot", "*")),
    ),
    good=(_worker(one=_policy("s3:GetObject", "arn:aws:s3:::slipway-dev-data/*")), _worker()),
    absent="pass",
)
def exfiltration(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Reads of stores that nothing bounds."""

    def judge(identity: Node) -> Verdict:
        try:
            holds = held(graph, identity)
        except DocumentError as error:
            return fail(str(error))
        for statement, path in holds:
            wide = statement.not_resources is not None or any(map(everything, statement.resources or ()))
            taken = [action for action in EXFILTRATIONS if wide and statement.names_action(action)]
            if statement.allows and taken:
                return fail(f"may use {taken[0]} on everything", path=path)
        holds.decided("Action", "NotAction", "Resource", "NotResource")
        return PASS

    return each(identities(graph), judge)


def _attach(arn: str, **more: Resource) -> Example:
    return example(it=res("iam/RolePolicyAttachment", role="worker", policyArn=arn), **more)


@whole(
    "SLP-IAM-103",
    "No broad policy of AWS is attached",
    "high",
    "identity",
    frameworks=maps("IAM.1", nag="IAM4", checkov="274 2-56"),
    rationale="AWS's own policies are made for every customer: they allow more than one service needs.",
    remediation="write the policy with the actions that are used; service-role policies may stay",
    applies_to=tuple(_MANAGED_TYPES),
    bad=(
        _attach(f"{_MANAGED}AdministratorAccess"),
        _attach(f"{_MANAGED}AmazonS3ReadOnlyAccess"),
        example(it=res("iam/Role", managedPolicyArns=[f"{_MANAGED}IAMFullAccess"])),
    ),
    good=(
        _attach(f"{_MANAGED}service-role/AmazonRDSEnhancedMonitoringRole"),
        _attach("arn:aws:iam::111111111111:policy/own"),
        _attach("${own.arn}", own=res("iam/Policy", name="own")),
        example(it=res("iam/Role", managedPolicyArns=["arn:aws:iam::111111111111:policy/own"])),
    ),
    absent="undecided",
)
def managed(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Those for one service's own work, and those of the settings, are accepted."""
    accepted = settings.managed_policies if isinstance(settings, RelationSettings) else ()

    def judge(node: Node) -> Verdict | None:
        key = _MANAGED_TYPES[node.type]
        value = node.get(key)
        if value is MISSING:
            if node.type == ROLE:
                return None
            raise UndecidedError(key)
        open_ = False
        for arn in cast("list[Any]", value if isinstance(value, list) else [value]):
            if arn is UNKNOWN:
                open_ = True
            elif _broad(str(arn)) and str(arn) not in accepted:
                return fail("attaches a policy of AWS that is not for one service's own work")
        if open_ and not node.made_from(key, POLICY):
            raise UndecidedError(key)
        return PASS

    return each(graph.of_type(*_MANAGED_TYPES), judge)


def _broad(arn: str) -> bool:
    """AWS's own, but for those under `service-role/` and `aws-service-role/`."""
    return (
        re.fullmatch(r"arn:aws[a-z-]*:iam::aws:policy/(?!service-role/|aws-service-role/).*", arn) is not None
    )


def _task(**roles: str) -> Resource:
    return res("ecs/TaskDefinition", family="api", **roles)


_A, _B = "arn:aws:iam::111111111111:role/a", "arn:aws:iam::111111111111:role/b"


@whole(
    "SLP-IAM-104",
    "Each task has a role of its own, apart from the one that starts it",
    "high",
    "identity",
    frameworks=maps(checkov="249"),
    rationale="The execution role reads every secret of the task, and so does the app that is given it.",
    remediation="give each service its own task role, and the agent another one",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-roles.html",),
    applies_to=(TASK,),
    bad=(
        example(it=_task(taskRoleArn=_A, executionRoleArn=_A)),
        example(role=res("iam/Role"), it=_task(taskRoleArn="${role.arn}", executionRoleArn="${role.arn}")),
        example(
            role=res("iam/Role"),
            it=_task(taskRoleArn="${role.arn}"),
            other=res("ecs/TaskDefinition", family="jobs", taskRoleArn="${role.arn}"),
        ),
        example(
            it=_task(taskRoleArn=_A),
            other=res("ecs/TaskDefinition", family="jobs", taskRoleArn=_B, executionRoleArn=_A),
        ),
    ),
    good=(
        example(it=_task(taskRoleArn=_A, executionRoleArn=_B)),
        example(
            task=res("iam/Role", name="task"),
            agent=res("iam/Role", name="agent"),
            it=_task(taskRoleArn="${task.arn}", executionRoleArn="${agent.arn}"),
        ),
        example(
            it=_task(taskRoleArn=_A, executionRoleArn=_B),
            other=res("ecs/TaskDefinition", family="api", taskRoleArn=_A),
        ),
    ),
    absent="pass",
)
def own_roles(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """By the role's resource or its literal ARN; definitions of one family are one service."""
    tasks = graph.of_type(TASK)

    def judge(task: Node) -> Verdict:
        own = _role(graph, task, "taskRoleArn")
        if own is None:
            return PASS  # it may call nothing
        agent = _role(graph, task, "executionRoleArn")
        if own == agent:
            return fail("its task role is its execution role", path=[task])
        open_ = UNKNOWN in (own, agent)
        for other in tasks:
            if other is task or _family(other) == _family(task):
                continue
            theirs = {_role(graph, other, key) for key in ("taskRoleArn", "executionRoleArn")}
            if own is not UNKNOWN and own in theirs:
                return fail(f"shares its task role with {other.label}", path=[task, other])
            open_ = open_ or UNKNOWN in theirs
        return undecided("one of the roles is not of this stack and not known") if open_ else PASS

    return each(tasks, judge)


def _family(task: Node) -> object:
    value = task.get("family")
    return value if isinstance(value, str) else task.urn


def _role(graph: Graph, task: Node, key: str) -> object:
    """What tells one role from another: its URN, its ARN, or UNKNOWN; None for no role."""
    made = task.made_from(key, ROLE)
    if made:
        return made[0].urn
    value = task.get(key)
    if not isinstance(value, str):
        return UNKNOWN if value is UNKNOWN else None
    name = value.rpartition("/")[2]
    return next((role.urn for role in graph.of_type(ROLE) if name in role.names), value)


def _permission(**given: Any) -> Example:
    return example(it=res("lambda/Permission", action="lambda:InvokeFunction", function="resize", **given))


_TOPIC: Final = "arn:aws:sns:us-east-1:111111111111:jobs"


@one(
    "SLP-IAM-105",
    "Functions are called by known callers only",
    "high",
    "identity",
    frameworks=maps("Lambda.1", checkov="301 364"),
    rationale="A permission for a service without its source lets any account's topic call the function.",
    remediation="name the service and source_arn; for S3, whose ARNs have no account, source_account too",
    applies_to=("aws:lambda/permission:Permission",),
    bad=(
        _permission(principal="*"),
        _permission(principal="sns.amazonaws.com"),
        _permission(principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::data"),
        _permission(principal="111111111111", functionUrlAuthType="NONE"),
    ),
    good=(
        _permission(principal="sns.amazonaws.com", sourceArn=_TOPIC),
        _permission(
            principal="s3.amazonaws.com", sourceArn="arn:aws:s3:::data", sourceAccount="111111111111"
        ),
        _permission(principal="arn:aws:iam::111111111111:role/api"),
        _permission(principal="*", principalOrgId="o-1234567890"),
    ),
    presence=("sourceArn", "sourceAccount", "principalOrgId"),
)
def callers(permission: Node, _settings: Settings) -> Verdict:
    """That a source is given is known even while its ARN is not."""
    if permission.known("functionUrlAuthType") == "NONE":
        return fail("lets anybody call the function's URL")
    principal = str(permission.known("principal", "*"))
    if principal == "*":
        return PASS if permission.given("principalOrgId") else fail("lets anybody call the function")
    if not principal.endswith(".amazonaws.com"):
        return PASS
    if principal == "s3.amazonaws.com" and not permission.given("sourceAccount"):
        return fail("lets S3 call the function for a bucket of any account")
    if permission.given("sourceArn") or permission.given("sourceAccount"):
        return PASS
    return fail("lets a service call the function on any account's behalf")


@one(
    "SLP-IAM-106",
    "Sessions are short, and bounded where the stack says so",
    "medium",
    "identity",
    frameworks=maps(),
    rationale="A stolen session works until it ends; a boundary is what no policy of the role can exceed.",
    remediation="leave max_session_duration at an hour; set permissions_boundary if requireBoundary is on",
    links=("https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",),
    applies_to=(ROLE,),
    bad=(example(it=res("iam/Role", maxSessionDuration=43200)),),
    good=(example(it=res("iam/Role", maxSessionDuration=3600)), example(it=res("iam/Role", name="worker"))),
    absent="pass",
)
def sessions(role: Node, settings: Settings) -> Verdict:
    """AWS's own default is an hour."""
    limit, needed = 3600, False
    if isinstance(settings, ResourceSettings):
        limit, needed = settings.max_session_seconds, settings.require_boundary
    if float(role.known("maxSessionDuration", 3600)) > limit:
        return fail(f"its sessions last longer than {limit} s")
    return fail("has no permissions boundary") if needed and not role.given("permissionsBoundary") else PASS


CONTROLS = (escalation, exfiltration, managed, own_roles, callers, sessions)
