"""Data that survives, as another resource decides: versions, lifecycles, sources of replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policies.control import PASS, Verdict, each, fail, need, undecided, whole
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import token, true
from policies.settings import Settings

_BUCKET: Final = token("s3/Bucket")
_REPOSITORY: Final = token("ecr/Repository")
_DATABASE: Final = token("rds/Instance")


def _versioned(status: str, bucket: str = "${it.bucket}") -> Example:
    return example(
        it=res("s3/Bucket", bucket="photos"),
        other=res("s3/Bucket", bucket="scratch"),
        versions=res("s3/BucketVersioning", bucket=bucket, versioningConfiguration={"status": status}),
    )


@whole(
    "SLP-DAT-101",
    "Buckets keep the versions of their objects",
    "high",
    "data-protection",
    frameworks=maps("S3.14", checkov="21"),
    rationale="Without versions an overwritten or deleted object is gone, whoever did it.",
    remediation="add aws.s3.BucketVersioning with status Enabled",
    applies_to=(_BUCKET,),
    bad=(
        _versioned("Suspended"),
        _versioned("Enabled", bucket="${other.bucket}"),
        example(it=res("s3/Bucket", bucket="photos")),
    ),
    good=(_versioned("Enabled"),),
)
def versions(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk bucket ← versioning."""
    kind = token("s3/BucketVersioning")

    def judge(bucket: Node) -> Verdict:
        found = graph.about(bucket, kind, "bucket")
        on = any(node.known("versioningConfiguration.status") == "Enabled" for node in found)
        return need(on, "does not keep the versions of its objects")

    return each(graph.of_type(_BUCKET), judge)


def _aged(status: str, bucket: str = "${it.bucket}") -> Example:
    rule = {"id": "old", "status": status, "noncurrentVersionExpiration": {"noncurrentDays": 30}}
    return example(
        it=res("s3/Bucket", bucket="photos"),
        other=res("s3/Bucket", bucket="scratch"),
        ages=res("s3/BucketLifecycleConfiguration", bucket=bucket, rules=[rule]),
    )


@whole(
    "SLP-DAT-102",
    "Buckets say how long objects stay",
    "medium",
    "data-protection",
    frameworks=maps("S3.13", checkov="2-61"),
    rationale="Old versions and broken uploads are paid for until somebody notices.",
    remediation="add aws.s3.BucketLifecycleConfiguration with an enabled rule",
    applies_to=(_BUCKET,),
    bad=(
        _aged("Disabled"),
        _aged("Enabled", bucket="${other.bucket}"),
        example(it=res("s3/Bucket", bucket="photos")),
    ),
    good=(_aged("Enabled"),),
)
def lifecycle(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk bucket ← lifecycle."""
    kind = token("s3/BucketLifecycleConfiguration")

    def judge(bucket: Node) -> Verdict:
        rules = [rule for node in graph.about(bucket, kind, "bucket") for rule in node.blocks("rules")]
        on = any(rule.known("status") == "Enabled" for rule in rules)
        return need(on, "has no rule for how long its objects stay")

    return each(graph.of_type(_BUCKET), judge)


@whole(
    "SLP-DAT-103",
    "Image repositories drop old images",
    "medium",
    "data-protection",
    frameworks=maps("ECR.3"),
    rationale="Each release leaves an image behind, which is paid for and may be started by mistake.",
    remediation="add aws.ecr.LifecyclePolicy",
    applies_to=(_REPOSITORY,),
    bad=(
        example(it=res("ecr/Repository", name="api")),
        example(it=res("ecr/Repository", name="api"), old=res("ecr/LifecyclePolicy", repository="web")),
    ),
    good=(
        example(
            it=res("ecr/Repository", name="api"), old=res("ecr/LifecyclePolicy", repository="${it.name}")
        ),
        example(it=res("ecr/Repository", name="api"), old=res("ecr/LifecyclePolicy", repository="api")),
    ),
    presence=("policy", "name"),
)
def old_images(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk repository ← lifecycle policy."""
    kind = token("ecr/LifecyclePolicy")

    def judge(repository: Node) -> Verdict:
        if graph.about(repository, kind, "repository"):
            return PASS
        strays = graph.strays(kind, "repository")
        if strays:
            return undecided(f"which repository {strays[0].label} is of is not known")
        return fail("has no lifecycle policy")

    return each(graph.of_type(_REPOSITORY), judge)


def _replica(source: dict[str, Any] | None = None, **given: Any) -> Example:
    primary: dict[str, Any] = {
        "instanceClass": "db.r6g.large",
        "storageEncrypted": True,
        "backupRetentionPeriod": 7,
        **(source or {}),
    }
    copy: dict[str, Any] = {"instanceClass": "db.r6g.large", "publiclyAccessible": False, **given}
    return example(
        primary=res("rds/Instance", engine="postgres", **primary),
        it=res("rds/Instance", replicateSourceDb="${primary.identifier}", **copy),
    )


@whole(
    "SLP-DAT-104",
    "A replica is as private, as encrypted and as large as its source, which has backups",
    "medium",
    "data-protection",
    rationale="A replica holds the same data: it is the way around what the source refuses.",
    remediation="give the replica the source's class and privacy, and the source encryption and backups",
    links=("https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.html",),
    applies_to=(_DATABASE,),
    bad=(
        _replica(publiclyAccessible=True),
        _replica(instanceClass="db.t4g.micro"),
        _replica({"backupRetentionPeriod": 0}),
        _replica({"storageEncrypted": False}),
    ),
    good=(_replica(),),
    absent="silent",
)
def replicas(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk replica → source."""

    def judge(replica: Node) -> Verdict | None:
        if not replica.given("replicateSourceDb"):
            return None
        if true(replica.known("publiclyAccessible")):
            return fail("the replica is publiclyAccessible")
        source = graph.referred(replica, "replicateSourceDb", _DATABASE)
        if source is None:
            return undecided("its source is not of this stack", path=[replica])
        path = [replica, source]
        if replica.known("instanceClass") != source.known("instanceClass"):
            return fail("the replica's instanceClass is another than its source's", path=path)
        if not true(source.known("storageEncrypted")):
            return fail("its source is not encrypted, and so is the replica", path=path)
        return (
            PASS if source.known("backupRetentionPeriod", 0) else fail("its source has no backups", path=path)
        )

    return each(graph.of_type(_DATABASE), judge)


CONTROLS = (versions, lifecycle, old_images, replicas)
