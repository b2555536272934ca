"""Who gets in from outside: policies of queues, topics, keys and secrets, and what guards a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policies.control import PASS, Verdict, each, fail, one, undecided, whole
from policies.controls.identity import policy
from policies.documents import DocumentError, Statement, parse
from policies.example import Example, Resource, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.identity import judge, narrows, source_known
from policies.settings import ResourceSettings, Settings

BUCKET: Final = "aws:s3/bucket:Bucket"
# resources with a policy that says who may use something, and whether the policy is theirs alone to give
POLICIES: Final = {
    "aws:sqs/queuePolicy:QueuePolicy": True,
    "aws:sqs/queue:Queue": False,
    "aws:sns/topicPolicy:TopicPolicy": True,
    "aws:sns/topic:Topic": False,
    "aws:kms/key:Key": False,
    "aws:kms/keyPolicy:KeyPolicy": True,
    "aws:ecr/repositoryPolicy:RepositoryPolicy": True,
    "aws:ecr/registryPolicy:RegistryPolicy": True,
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": True,
    "aws:s3/bucketPolicy:BucketPolicy": True,
    "aws:secretsmanager/secretPolicy:SecretPolicy": True,
    "aws:secretsmanager/secret:Secret": False,
    "aws:backup/vaultPolicy:VaultPolicy": True,
}
_WITHIN: Final = (
    *("aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalArn"),
    *("aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceVpce", "aws:SourceVpc"),
    "kms:CallerAccount",
)
_QUEUE: Final = "arn:aws:sqs:us-east-1:111111111111:jobs"
_OURS: Final = {"StringEquals": {"aws:SourceAccount": "111111111111"}}


def _queue(principal: Any, **more: Any) -> Example:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": _QUEUE}
    return example(it=res("sqs/QueuePolicy", queueUrl="jobs", policy=policy({**statement, **more})))


def _verdict(node: Node, offence: Any) -> Verdict | None:
    if not POLICIES[node.type] and not node.given("policy"):
        return None
    try:
        document = parse(node.get("policy"), "policy")
        return judge([document], offence, "Principal", "NotPrincipal", "Condition")
    except DocumentError as error:
        return fail(str(error))


@one(
    "SLP-IAM-201",
    "Nothing is open to everybody",
    "critical",
    "identity",
    frameworks=maps("SQS.3 SNS.4 KMS.5 EventBridge.3", nag="EVB1 ECR1", checkov="168 169 33 32"),
    rationale="A policy for `*` lets in every account of AWS, and with some services everybody.",
    remediation="name accounts or roles, or bound `*` by aws:PrincipalOrgID or aws:PrincipalAccount",
    applies_to=tuple(POLICIES),
    waivable=False,
    bad=(
        _queue("*"),
        _queue({"AWS": "*"}),
        _queue({"AWS": ["arn:aws:iam::111111111111:root", "*"]}),
        _queue("*", Condition={"StringNotEquals": {"aws:PrincipalAccount": "111111111111"}}),
        _queue("*", Condition={"StringLike": {"aws:PrincipalArn": "*"}}),
        example(
            it=res(
                "sqs/QueuePolicy",
                policy=policy(
                    {"Effect": "Allow", "NotPrincipal": {"AWS": "1"}, "Action": "sqs:*", "Resource": _QUEUE}
                ),
            )
        ),
        *(
            example(
                it=Resource(
                    type_,
                    {
                        "policy": policy(
                            {"Effect": "Allow", "Principal": "*", "Action": "a:B", "Resource": "*"}
                        )
                    },
                )
            )
            for type_ in POLICIES
        ),
    ),
    good=(
        _queue({"AWS": "arn:aws:iam::111111111111:root"}),
        _queue("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}),
        _queue("*", Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}),
        _queue({"Service": "events.amazonaws.com"}, Condition=_OURS),
    ),
)
def open_principals(node: Node, _settings: Settings) -> Verdict | None:
    """A condition counts only if it bounds who the caller is."""

    def offence(statement: Statement) -> str | None:
        if statement.not_principals is not None:
            return "lets in all but those that NotPrincipal names"
        everyone = any(principal.everyone for principal in statement.principals or ())
        if not everyone or narrows(statement, *_WITHIN) or "Condition" in statement.unknown:
            return None
        return "lets in everybody"

    return _verdict(node, offence)


@one(
    "SLP-IAM-202",
    "Services come on this account's behalf",
    "high",
    "identity",
    frameworks=maps(),
    rationale="A service that serves everybody can be sent here by anybody: the confused deputy.",
    remediation="add the condition aws:SourceAccount or aws:SourceArn",
    links=("https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",),
    applies_to=tuple(POLICIES),
    bad=(
        _queue({"Service": "events.amazonaws.com"}),
        _queue(
            {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
            Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/*"}},
        ),
    ),
    good=(
        _queue({"Service": "events.amazonaws.com"}, Condition=_OURS),
        _queue(
            {"Service": "s3.amazonaws.com"}, Condition={"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::data"}}
        ),
        _queue({"AWS": "arn:aws:iam::111111111111:root"}),
    ),
)
def confused_deputy(node: Node, settings: Settings) -> Verdict | None:
    """Services that cannot say on whose behalf they come are listed in the settings."""
    silent = settings.services_without_source if isinstance(settings, ResourceSettings) else ()

    def offence(statement: Statement) -> str | None:
        if source_known(statement, silent) or "Condition" in statement.unknown:
            return None
        return "lets a service in on any account's behalf"

    return _verdict(node, offence)


_FLAGS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


def _bucket(**others: Resource) -> Example:
    return example(it=res("s3/Bucket", bucket="data"), **others)


def _blocked(bucket: str, **flags: bool) -> Resource:
    return res("s3/BucketPublicAccessBlock", bucket=bucket, **{**dict.fromkeys(_FLAGS, True), **flags})


@whole(
    "SLP-IAM-203",
    "Buckets block public access, all four ways",
    "critical",
    "identity",
    frameworks=maps("S3.8", nag="S2", checkov="53 54 55 56 2-6"),
    rationale="Access lists and policies can both open a bucket; only the block holds whatever they say.",
    remediation="add aws.s3.BucketPublicAccessBlock for this bucket with all four flags on",
    applies_to=(BUCKET,),
    waivable=False,
    bad=(
        _bucket(),
        _bucket(block=_blocked("another")),
        *(_bucket(block=_blocked("data", **{flag: False})) for flag in _FLAGS),
    ),
    good=(_bucket(block=_blocked("data")), _bucket(block=_blocked("${it.id}"))),
)
def public_access(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A block for another bucket is none."""

    def judge_(bucket: Node) -> Verdict:
        blocks = graph.about(bucket, _BLOCK, "bucket")
        if not blocks:
            return fail("has no public access block")
        off = [flag for flag in _FLAGS if blocks[0].known(flag, default=False) is not True]
        return fail(f"{off[0]} is not on", path=[bucket, blocks[0]]) if off else PASS

    return each(graph.of_type(BUCKET), judge_)


_ACL: Final = "aws:s3/bucketAcl:BucketAcl"
_OWNERSHIP: Final = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"


def _owned(ownership: str) -> Resource:
    return res("s3/BucketOwnershipControls", bucket="data", rule={"objectOwnership": ownership})


@whole(
    "SLP-IAM-204",
    "Buckets have no access lists",
    "medium",
    "identity",
    frameworks=maps("S3.12"),
    rationale="An access list on one object opens it whatever the bucket's policy says.",
    remediation="set objectOwnership to BucketOwnerEnforced, and give no acl",
    applies_to=(BUCKET,),
    bad=(
        _bucket(owner=_owned("ObjectWriter")),
        _bucket(owner=_owned("BucketOwnerPreferred")),
        _bucket(acl=res("s3/BucketAcl", bucket="data", acl="public-read")),
        example(it=res("s3/Bucket", bucket="data", acl="private")),
    ),
    good=(_bucket(owner=_owned("BucketOwnerEnforced")), _bucket()),
    absent="pass",
)
def ownership(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """S3's own default since April 2023 is BucketOwnerEnforced."""

    def judge_(bucket: Node) -> Verdict:
        if bucket.given("acl") or graph.about(bucket, _ACL, "bucket"):
            return fail("has an access list")
        rules = graph.about(bucket, _OWNERSHIP, "bucket")
        if rules and rules[0].known("rule.objectOwnership") != "BucketOwnerEnforced":
            return fail("its objects may have access lists", path=[bucket, rules[0]])
        strays = [
            each for type_ in (_ACL, _OWNERSHIP) for each in graph.perhaps_about(bucket, type_, "bucket")
        ]
        return undecided(f"whether {strays[0].label} is its own is not known") if strays else PASS

    return each(graph.of_type(BUCKET), judge_)


SECRET: Final = "aws:secretsmanager/secret:Secret"  # noqa: S105  a type's token
_ROTATION: Final = "aws:secretsmanager/secretRotation:SecretRotation"


def _secret(**rules: Any) -> Example:
    return example(
        it=res("secretsmanager/Secret", name="api-key"),
        rotation=res("secretsmanager/SecretRotation", secretId="${it.id}", rotationRules=rules),
    )


@whole(
    "SLP-IAM-205",
    "Secrets are changed within 90 days",
    "medium",
    "identity",
    frameworks=maps("SecretsManager.1 SecretsManager.4", nag="SMG4", checkov="2-57"),
    rationale="A secret that leaked unseen is of use until it changes.",
    remediation="add aws.secretsmanager.SecretRotation with automatically_after_days of at most 90",
    applies_to=(SECRET,),
    bad=(example(it=res("secretsmanager/Secret", name="api-key")), _secret(automaticallyAfterDays=180)),
    good=(_secret(automaticallyAfterDays=30), _secret(scheduleExpression="rate(10 days)")),
    presence=("rotationRules.scheduleExpression",),
)
def rotation(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """By days or by a schedule."""
    most = 90

    def judge_(secret: Node) -> Verdict:
        found = graph.about(secret, _ROTATION, "secretId")
        if not found:
            return fail("is never rotated")
        if found[0].given("rotationRules.scheduleExpression"):
            return PASS
        days = float(found[0].known("rotationRules.automaticallyAfterDays", 0))
        return PASS if 0 < days <= most else fail("is not rotated within 90 days", path=[secret, found[0]])

    return each(graph.of_type(SECRET), judge_)


CONTROLS = (open_principals, confused_deputy, public_access, ownership, rotation)
