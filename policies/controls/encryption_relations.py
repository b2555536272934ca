"""Encryption that another resource decides: a bucket's configuration, a policy, a parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, need, undecided, whole
from policies.example import KEY, Example, example, res, to_json
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.settings import Settings

BUCKET: Final = "aws:s3/bucket:Bucket"
_SSE: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
_LOGGING: Final = "aws:s3/bucketLogging:BucketLogging"


def _sealed(algorithm: str, key: str = "", *, cached: bool = True) -> Example:
    """A bucket and how it is encrypted."""
    default = {"sseAlgorithm": algorithm, **({"kmsMasterKeyId": key} if key else {})}
    return example(
        it=res("s3/Bucket", bucket="photos"),
        sealing=res(
            "s3/BucketServerSideEncryptionConfiguration",
            bucket="${it.bucket}",
            rules=[{"applyServerSideEncryptionByDefault": default, "bucketKeyEnabled": cached}],
        ),
    )


def _refusal(actions: Any, **condition: Any) -> dict[str, Any]:
    """A policy that refuses plain HTTP for these actions."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": "*",
        "Condition": condition or {"Bool": {"aws:SecureTransport": "false"}},
    }
    return to_json({"Version": "2012-10-17", "Statement": [statement]})


def _grouped(value: str) -> Example:
    """A database whose parameter group says this of TLS."""
    return example(
        it=res("rds/Instance", engine="postgres", parameterGroupName="${group.name}"),
        group=res(
            "rds/ParameterGroup", family="postgres17", parameters=[{"name": "rds.force_ssl", "value": value}]
        ),
    )


@whole(
    "SLP-ENC-101",
    "Buckets are encrypted under a KMS key",
    "high",
    "encryption",
    frameworks=maps("S3.17", checkov="145"),
    rationale="With a KMS key, reading an object takes the key's permission as well as the bucket's.",
    remediation="add aws.s3.BucketServerSideEncryptionConfiguration: aws:kms, the key, bucket_key_enabled",
    applies_to=(BUCKET,),
    bad=(
        _sealed("AES256"),
        _sealed("aws:kms"),
        _sealed("aws:kms", key=KEY, cached=False),
        example(it=res("s3/Bucket", bucket="photos")),
    ),
    good=(
        _sealed("aws:kms", key=KEY),
        {**_sealed("AES256"), "balancer": res("lb/LoadBalancer", accessLogs={"bucket": "${it.bucket}"})},
        {**_sealed("AES256"), "logs": res("s3/BucketLogging", bucket="data", targetBucket="${it.bucket}")},
    ),
    presence=("kmsMasterKeyId",),
)
def bucket_kms(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Log buckets may use S3's own key: load balancers and S3 itself cannot write under a customer key."""

    def judge(bucket: Node) -> Verdict:
        configurations = graph.about(bucket, _SSE, "bucket")
        if not configurations:
            return fail("has no encryption configuration")
        rules = configurations[0].blocks("rules")
        default = [each for rule in rules for each in rule.blocks("applyServerSideEncryptionByDefault")]
        algorithms = {str(each.known("sseAlgorithm")) for each in default}
        if algorithms == {"AES256"} and takes_logs(graph, bucket):
            return PASS
        if not algorithms or not algorithms <= {"aws:kms", "aws:kms:dsse"}:
            return fail(
                "is encrypted by S3's own key, not by KMS"
                if algorithms == {"AES256"}
                else "is not encrypted by KMS"
            )
        if not all(each.given("kmsMasterKeyId") for each in default):
            return fail("names no key, so AWS's own key of S3 is used")
        return need(
            all(rule.known("bucketKeyEnabled") is True for rule in rules),
            "bucketKeyEnabled is off: every object costs a KMS request",
        )

    return each(graph.of_type(BUCKET), judge)


def takes_logs(graph: Graph, bucket: Node) -> bool:
    """Whether S3 or a load balancer writes its logs to the bucket."""
    if graph.about(bucket, _LOGGING, "targetBucket"):
        return True
    for balancer in graph.of_type("aws:lb/loadBalancer:LoadBalancer"):
        named = balancer.get("accessLogs.bucket")
        if bucket in balancer.deps.get("accessLogs", ()) or named in bucket.names:
            return True
    return False


# what must carry a policy that refuses plain HTTP: the policy's type, the property that names it, the actions
_TLS_POLICIES: Final[Mapping[str, tuple[str, str, str]]] = {
    BUCKET: ("aws:s3/bucketPolicy:BucketPolicy", "bucket", "s3"),
    "aws:sqs/queue:Queue": ("aws:sqs/queuePolicy:QueuePolicy", "queueUrl", "sqs"),
    "aws:sns/topic:Topic": ("aws:sns/topicPolicy:TopicPolicy", "arn", "sns"),
}

# which actions a Deny must have; a topic policy may not say sns:*, and publishing is what callers do
_REFUSED: Final[Mapping[str, frozenset[str]]] = {
    "s3": frozenset(("*", "s3:*")),
    "sqs": frozenset(("*", "sqs:*")),
    "sns": frozenset(("sns:publish",)),
}


@whole(
    "SLP-ENC-102",
    "Buckets, queues and topics refuse plain HTTP",
    "high",
    "encryption",
    frameworks=maps("S3.5", nag="S10 SQS4 SNS3"),
    rationale="The service's plain HTTP endpoint is open to any caller whose policy does not forbid it.",
    remediation='add a policy with a Deny for "*" on its actions when aws:SecureTransport is false',
    applies_to=tuple(_TLS_POLICIES),
    bad=(
        example(
            it=res("sqs/Queue", name="jobs"),
            rules=res("sqs/QueuePolicy", queueUrl="${it.url}", policy=_refusal("sqs:SendMessage")),
        ),
        example(
            it=res("sqs/Queue", name="jobs"),
            rules=res("sqs/QueuePolicy", queueUrl="other", policy=_refusal("sqs:*")),
        ),
        example(it=res("sns/Topic", name="news", policy=_refusal("sns:Subscribe"))),
        example(it=res("sqs/Queue", policy=_refusal("sqs:*", Bool={"aws:SecureTransport": "true"}))),
        example(
            it=res(
                "sqs/Queue",
                policy=_refusal(
                    "sqs:*",
                    Bool={"aws:SecureTransport": "false"},
                    StringEquals={"aws:PrincipalAccount": "111111111111"},
                ),
            )
        ),
        example(it=res("sqs/Queue", policy="no document at all")),
        example(it=res("s3/Bucket", bucket="photos")),
    ),
    good=(
        example(
            it=res("sqs/Queue", name="jobs"),
            rules=res("sqs/QueuePolicy", queueUrl="${it.url}", policy=_refusal("sqs:*")),
        ),
        example(it=res("sns/Topic", name="news", policy=_refusal(["sns:Publish"]))),
        example(
            it=res("s3/Bucket", bucket="photos"),
            rules=res("s3/BucketPolicy", bucket="photos", policy=_refusal("s3:*")),
        ),
    ),
)
def tls_only(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A policy document of its own, or the one inside the queue or topic."""

    def judge(node: Node) -> Verdict:
        type_, key, service = _TLS_POLICIES[node.type]
        carriers = [*graph.about(node, type_, key), *([node] if node.given("policy") else [])]
        if not carriers:
            return fail("has no policy that refuses plain HTTP")
        documents = [_document(carrier.known("policy")) for carrier in carriers]
        if any(_refuses_plain(statement, service) for each in documents for statement in _statements(each)):
            return PASS
        return fail("its policy does not refuse plain HTTP", path=[node, carriers[0]])

    return each(graph.of_type(*_TLS_POLICIES), judge)


def _document(policy: object) -> Mapping[str, Any]:
    if isinstance(policy, Mapping):
        return cast("Mapping[str, Any]", policy)
    try:
        document: Any = json.loads(str(policy))
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", document) if isinstance(document, Mapping) else {}


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statements: Any = document.get("Statement") or []
    many = cast("list[Any]", statements if isinstance(statements, list) else [statements])
    return [cast("Mapping[str, Any]", each) for each in many if isinstance(each, Mapping)]


def _refuses_plain(statement: Mapping[str, Any], service: str) -> bool:
    conditions: Any = statement.get("Condition") or {}
    clear = [str(value).lower() for value in _many(conditions.get("Bool", {}).get("aws:SecureTransport"))]
    names = {str(action).lower() for action in _many(statement.get("Action"))}
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        and bool(names & _REFUSED[service])
        and clear == ["false"]
        # a second condition would let some plain requests through
        and list(conditions) == ["Bool"]
        and len(conditions["Bool"]) == 1
    )


def _many(value: object) -> list[Any]:
    """A policy's value or list of values, as a list."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]


@whole(
    "SLP-ENC-103",
    "PostgreSQL takes TLS connections only",
    "high",
    "encryption",
    frameworks=maps("RDS.38", checkov="2-69"),
    rationale="Without rds.force_ssl a client that forgets TLS sends its password in the clear.",
    remediation="give it a parameter group with rds.force_ssl = 1",
    applies_to=("aws:rds/instance:Instance", "aws:rds/cluster:Cluster"),
    bad=(
        _grouped("0"),
        example(it=res("rds/Instance", engine="postgres")),
        example(
            it=res("rds/Cluster", engine="aurora-postgresql", dbClusterParameterGroupName="${group.name}"),
            group=res("rds/ClusterParameterGroup", family="aurora-postgresql16", parameters=[]),
        ),
    ),
    good=(
        _grouped("1"),
        example(
            it=res("rds/Cluster", engine="aurora-postgresql", dbClusterParameterGroupName="${group.name}"),
            group=res(
                "rds/ClusterParameterGroup",
                family="aurora-postgresql16",
                parameters=[{"name": "rds.force_ssl", "value": "1"}],
            ),
        ),
    ),
)
def force_ssl(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk database → parameter group → parameter."""

    def judge(database: Node) -> Verdict | None:
        if not str(database.known("engine", "postgres")).endswith(("postgres", "postgresql")):
            return None
        cluster = database.type.endswith("Cluster")
        key = "dbClusterParameterGroupName" if cluster else "parameterGroupName"
        kind = (
            "aws:rds/clusterParameterGroup:ClusterParameterGroup"
            if cluster
            else "aws:rds/parameterGroup:ParameterGroup"
        )
        if not database.given(key):
            return fail("has no parameter group, so AWS's default decides")
        group = graph.referred(database, key, kind)
        if group is None:
            return undecided("its parameter group is not of this stack", path=[database])
        forced = [each for each in group.blocks("parameters") if each.known("name") == "rds.force_ssl"]
        values = [str(each.known("value")) for each in forced]
        return PASS if "1" in values else fail("rds.force_ssl is not 1", path=[database, group])

    return each(graph.of_type("aws:rds/instance:Instance", "aws:rds/cluster:Cluster"), judge)


@whole(
    "SLP-ENC-104",
    "A bucket, queue or topic has one policy",
    "high",
    "encryption",
    rationale="There is room for one document: of two resources the later one replaces the other, and which "
    "is later changes from run to run.",
    remediation="write all statements into one document",
    links=("https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html",),
    applies_to=tuple(_TLS_POLICIES),
    bad=(
        example(
            it=res("s3/Bucket", bucket="photos"),
            tls=res("s3/BucketPolicy", bucket="${it.bucket}", policy=_refusal("s3:*")),
            readers=res("s3/BucketPolicy", bucket="${it.bucket}", policy=_refusal("s3:*")),
        ),
        example(
            it=res("sqs/Queue", name="jobs", policy=_refusal("sqs:*")),
            tls=res("sqs/QueuePolicy", queueUrl="${it.url}", policy=_refusal("sqs:*")),
        ),
    ),
    good=(
        example(
            it=res("s3/Bucket", bucket="photos"),
            other=res("s3/Bucket", bucket="scratch"),
            tls=res("s3/BucketPolicy", bucket="${it.bucket}", policy=_refusal("s3:*")),
            readers=res("s3/BucketPolicy", bucket="${other.bucket}", policy=_refusal("s3:*")),
        ),
    ),
    absent="pass",
    presence=("policy", "fn::toJSON"),
)
def one_policy(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Resources of a policy's own type, and the document inside the queue or topic."""

    def judge(node: Node) -> Verdict:
        type_, key, _ = _TLS_POLICIES[node.type]
        carriers = [*graph.about(node, type_, key), *([node] if node.given("policy") else [])]
        strays = graph.strays(type_, key) if carriers else []
        if len(carriers) > 1:
            return fail("has several policies that replace one another", path=carriers)
        return undecided(f"what {strays[0].label} is for is not known") if strays else PASS

    return each(graph.of_type(*_TLS_POLICIES), judge)


CONTROLS = (bucket_kms, tls_only, force_ssl, one_policy)
