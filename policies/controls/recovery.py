"""Data that survives: a lost zone, a wrong deletion, a bad week. What one resource decides for itself."""

from __future__ import annotations

from typing import Any, Final

from policies.control import PASS, Verdict, need, one
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import token, tokens, true
from policies.settings import Settings, in_production

_DATABASE: Final = token("rds/Instance")
_CLUSTER: Final = token("rds/Cluster")
_CACHE: Final = token("elasticache/ReplicationGroup")
_TABLE: Final = token("dynamodb/Table")
_LEAST_DAYS: Final = 7


@one(
    "SLP-DAT-001",
    "In production, databases stand in two zones",
    "high",
    "data-protection",
    frameworks=maps("RDS.5", nag="RDS3", checkov="157"),
    rationale="With one zone, maintenance and the loss of that zone are outages.",
    remediation="set multi_az",
    applies_to=(_DATABASE,),
    bad=(example(it=res("rds/Instance", engine="postgres", multiAz=False)),),
    good=(
        example(it=res("rds/Instance", engine="postgres", multiAz=True)),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("replicateSourceDb",),
)
def multi_az(database: Node, settings: Settings) -> Verdict | None:
    """A read replica is spread by its number."""
    if not in_production(settings):
        return None
    return need(database.given("replicateSourceDb") or true(database.known("multiAz")), "multiAz is not on")


@one(
    "SLP-DAT-002",
    "Databases keep backups for a week at least",
    "high",
    "data-protection",
    frameworks=maps("RDS.11", nag="RDS13", checkov="133"),
    rationale="A wrong migration is often found days later; only a backup from before helps then.",
    remediation="set backup_retention_period to 7 or more",
    applies_to=(_DATABASE, _CLUSTER),
    bad=(
        example(it=res("rds/Instance", engine="postgres", backupRetentionPeriod=0)),
        example(it=res("rds/Instance", engine="postgres", backupRetentionPeriod=6)),
        example(it=res("rds/Cluster", engine="aurora-postgresql", backupRetentionPeriod=1)),
    ),
    good=(
        example(it=res("rds/Instance", engine="postgres", backupRetentionPeriod=7)),
        example(it=res("rds/Cluster", engine="aurora-postgresql", backupRetentionPeriod=35)),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("replicateSourceDb",),
)
def backups(database: Node, _settings: Settings) -> Verdict:
    """The source of a replica has them."""
    if database.given("replicateSourceDb"):
        return PASS
    days = _number(database, "backupRetentionPeriod", 1)
    return need(days >= _LEAST_DAYS, f"backupRetentionPeriod is below {_LEAST_DAYS} days")


def _number(node: Node, path: str, default: float) -> float:
    """A number, which a program may have written as text; what is none counts as nothing."""
    value = node.known(path, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


@one(
    "SLP-DAT-003",
    "In production, databases cannot be deleted by mistake",
    "high",
    "data-protection",
    frameworks=maps("RDS.7 RDS.8", nag="RDS10", checkov="293"),
    rationale="A rename in a program is a deletion and a new, empty database.",
    remediation="set deletion_protection, and final_snapshot_identifier instead of skip_final_snapshot",
    applies_to=(_DATABASE, _CLUSTER),
    bad=(
        example(it=res("rds/Instance", engine="postgres", deletionProtection=False)),
        example(it=res("rds/Instance", engine="postgres", deletionProtection=True, skipFinalSnapshot=True)),
        example(it=res("rds/Cluster", engine="aurora-postgresql", skipFinalSnapshot=False)),
    ),
    good=(
        example(it=res("rds/Instance", engine="postgres", deletionProtection=True, skipFinalSnapshot=False)),
        example(it=res("rds/Cluster", engine="aurora-postgresql", deletionProtection=True)),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("replicateSourceDb",),
)
def deletion_protected(database: Node, settings: Settings) -> Verdict | None:
    """A replica can be made again."""
    if not in_production(settings):
        return None
    if database.given("replicateSourceDb"):
        return PASS
    if not true(database.known("deletionProtection")):
        return need(condition=False, message="deletionProtection is not on")
    return need(not true(database.known("skipFinalSnapshot")), "skipFinalSnapshot is on")


@one(
    "SLP-DAT-004",
    "Databases are patched, and their snapshots can be found",
    "medium",
    "data-protection",
    frameworks=maps("RDS.13 RDS.17", checkov="226 2-60"),
    rationale="A minor version is how a known hole is closed; a snapshot without tags belongs to nobody.",
    remediation="set copy_tags_to_snapshot, and leave auto_minor_version_upgrade on",
    applies_to=(_DATABASE,),
    bad=(
        example(it=res("rds/Instance", engine="postgres", copyTagsToSnapshot=False)),
        example(
            it=res("rds/Instance", engine="postgres", copyTagsToSnapshot=True, autoMinorVersionUpgrade=False)
        ),
    ),
    good=(
        example(
            it=res("rds/Instance", engine="postgres", copyTagsToSnapshot=True, autoMinorVersionUpgrade=True)
        ),
    ),
)
def patched(database: Node, _settings: Settings) -> Verdict:
    """Minor upgrades are on unless turned off."""
    if not true(database.known("autoMinorVersionUpgrade", default=True)):
        return need(condition=False, message="autoMinorVersionUpgrade is off")
    return need(true(database.known("copyTagsToSnapshot")), "copyTagsToSnapshot is not on")


def _cache(**given: Any) -> Example:
    inputs = {"automaticFailoverEnabled": True, "multiAzEnabled": True, "numCacheClusters": 2, **given}
    return example(it=res("elasticache/ReplicationGroup", **inputs))


@one(
    "SLP-DAT-005",
    "In production, caches fail over to another zone",
    "high",
    "data-protection",
    frameworks=maps("ElastiCache.3", nag="AEC4", checkov="2-50"),
    rationale="Sessions and queues that live in one node end with it.",
    remediation="set automatic_failover_enabled, multi_az_enabled and num_cache_clusters of 2 or more",
    applies_to=(_CACHE,),
    bad=(
        _cache(automaticFailoverEnabled=False),
        _cache(multiAzEnabled=False),
        _cache(numCacheClusters=1),
        example(
            it=res(
                "elasticache/ReplicationGroup",
                automaticFailoverEnabled=True,
                multiAzEnabled=True,
                numNodeGroups=2,
                replicasPerNodeGroup=0,
            )
        ),
    ),
    good=(
        _cache(),
        example(
            it=res(
                "elasticache/ReplicationGroup",
                automaticFailoverEnabled=True,
                multiAzEnabled=True,
                numNodeGroups=2,
                replicasPerNodeGroup=1,
            )
        ),
    ),
)
def fails_over(cache: Node, settings: Settings) -> Verdict | None:
    """With shards the replicas of each are counted."""
    if not in_production(settings):
        return None
    off = [key for key in ("automaticFailoverEnabled", "multiAzEnabled") if not true(cache.known(key))]
    if off:
        return need(condition=False, message=f"{' and '.join(off)} is not on")
    replicas = _number(cache, "replicasPerNodeGroup", 0) + 1
    return need(max(replicas, _number(cache, "numCacheClusters", 1)) > 1, "has no replica to fail over to")


@one(
    "SLP-DAT-006",
    "In production, caches keep snapshots; all of them are patched",
    "medium",
    "data-protection",
    frameworks=maps("ElastiCache.1 ElastiCache.2", checkov="134"),
    rationale="What a cache holds between two writes to the database is gone without a snapshot.",
    remediation="set snapshot_retention_limit to 1 or more, and leave auto_minor_version_upgrade on",
    applies_to=(_CACHE,),
    bad=(
        example(it=res("elasticache/ReplicationGroup", snapshotRetentionLimit=0)),
        example(
            it=res("elasticache/ReplicationGroup", snapshotRetentionLimit=1, autoMinorVersionUpgrade=False)
        ),
    ),
    good=(
        example(
            it=res("elasticache/ReplicationGroup", snapshotRetentionLimit=1, autoMinorVersionUpgrade=True)
        ),
    ),
)
def cache_snapshots(cache: Node, settings: Settings) -> Verdict:
    """Minor upgrades are on unless turned off."""
    if not true(cache.known("autoMinorVersionUpgrade", default=True)):
        return need(condition=False, message="autoMinorVersionUpgrade is off")
    enough = not in_production(settings) or _number(cache, "snapshotRetentionLimit", 0) >= 1
    return need(enough, "snapshotRetentionLimit is 0")


@one(
    "SLP-DAT-007",
    "Tables can be put back to any second, and not be deleted by mistake",
    "high",
    "data-protection",
    frameworks=maps("DynamoDB.2 DynamoDB.6", nag="DDB3", checkov="28"),
    rationale="A wrong batch job overwrites a table within minutes; without recovery its old items are gone.",
    remediation="set point_in_time_recovery.enabled and deletion_protection_enabled",
    applies_to=(_TABLE,),
    bad=(
        example(it=res("dynamodb/Table", pointInTimeRecovery={"enabled": True})),
        example(
            it=res("dynamodb/Table", pointInTimeRecovery={"enabled": False}, deletionProtectionEnabled=True)
        ),
    ),
    good=(
        example(
            it=res("dynamodb/Table", pointInTimeRecovery={"enabled": True}, deletionProtectionEnabled=True)
        ),
    ),
)
def tables_recover(table: Node, _settings: Settings) -> Verdict:
    """Both are off unless said."""
    keys = ("pointInTimeRecovery.enabled", "deletionProtectionEnabled")
    off = [key for key in keys if not true(table.known(key))]
    return need(not off, f"{' and '.join(off)} is not on")


@one(
    "SLP-DAT-008",
    "Keys can be saved for a month, and nobody locks himself out of them",
    "high",
    "data-protection",
    frameworks=maps("KMS.3"),
    rationale="With a key goes all that is encrypted under it: the wait before that is the last chance.",
    remediation="set deletion_window_in_days to 30, and leave bypass_policy_lockout_safety_check off",
    applies_to=tokens("kms/Key", "kms/ReplicaKey"),
    bad=(
        example(it=res("kms/Key", deletionWindowInDays=7)),
        example(it=res("kms/Key", deletionWindowInDays=30, bypassPolicyLockoutSafetyCheck=True)),
    ),
    good=(
        example(it=res("kms/Key", deletionWindowInDays=30, bypassPolicyLockoutSafetyCheck=False)),
        example(it=res("kms/ReplicaKey", deletionWindowInDays=30)),
    ),
    absent="pass",
)
def keys_wait(key: Node, settings: Settings) -> Verdict:
    """AWS waits 30 days unless told otherwise; a stack without users may wait the least."""
    if true(key.known("bypassPolicyLockoutSafetyCheck")):
        return need(condition=False, message="bypassPolicyLockoutSafetyCheck is on")
    least = 30 if in_production(settings) else _LEAST_DAYS
    return need(_number(key, "deletionWindowInDays", 30) >= least, f"deletionWindowInDays is below {least}")


@one(
    "SLP-DAT-009",
    "In production, secrets can be brought back for a week",
    "medium",
    "data-protection",
    rationale="With a recovery window of 0 a wrong deletion of a secret cannot be undone.",
    remediation="set recovery_window_in_days to 7 or more, or leave it at 30",
    links=("https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html",),
    applies_to=tokens("secretsmanager/Secret"),
    bad=(example(it=res("secretsmanager/Secret", recoveryWindowInDays=0)),),
    good=(example(it=res("secretsmanager/Secret", recoveryWindowInDays=7)),),
    absent="pass",
)
def secrets_wait(secret: Node, settings: Settings) -> Verdict | None:
    """A stack that comes and goes deletes its secrets at once, to make them again."""
    if not in_production(settings):
        return None
    days = _number(secret, "recoveryWindowInDays", 30)
    return need(days >= _LEAST_DAYS, f"recoveryWindowInDays is below {_LEAST_DAYS}")


@one(
    "SLP-DAT-010",
    "In production, load balancers cannot be deleted by mistake",
    "medium",
    "data-protection",
    frameworks=maps("ELB.6", checkov="150"),
    rationale="A new load balancer has a new address: clients find it when their DNS cache has run out.",
    remediation="set enable_deletion_protection",
    applies_to=tokens("lb/LoadBalancer"),
    bad=(example(it=res("lb/LoadBalancer", enableDeletionProtection=False)),),
    good=(example(it=res("lb/LoadBalancer", enableDeletionProtection=True)),),
)
def balancers_stay(balancer: Node, settings: Settings) -> Verdict | None:
    """Off unless said."""
    if not in_production(settings):
        return None
    return need(true(balancer.known("enableDeletionProtection")), "enableDeletionProtection is not on")


@one(
    "SLP-DAT-011",
    "Buckets in production are not emptied to be deleted",
    "high",
    "data-protection",
    rationale="With force_destroy a bucket is deleted with all its objects and all their versions.",
    remediation="leave force_destroy off; empty the bucket by hand when it is really to go",
    links=("https://docs.aws.amazon.com/AmazonS3/latest/userguide/delete-bucket.html",),
    applies_to=tokens("s3/Bucket"),
    bad=(example(it=res("s3/Bucket", bucket="photos", forceDestroy=True)),),
    good=(example(it=res("s3/Bucket", bucket="photos", forceDestroy=False)),),
    absent="pass",
)
def buckets_stay(bucket: Node, settings: Settings) -> Verdict | None:
    """A stack that comes and goes takes its objects with it."""
    if not in_production(settings):
        return None
    return need(not true(bucket.known("forceDestroy")), "forceDestroy is on")


CONTROLS = (
    multi_az,
    backups,
    deletion_protected,
    patched,
    fails_over,
    cache_snapshots,
    tables_recover,
    keys_wait,
    secrets_wait,
    balancers_stay,
    buckets_stay,
)
