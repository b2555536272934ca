"""Encryption that one resource decides for itself: at rest under a key of ours, in transit by TLS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policies.control import PASS, Verdict, need, one
from policies.example import KEY, Example, Resource, example, nested, res
from policies.frameworks import maps
from policies.graph import Node
from policies.settings import Settings

_RATIONALE_KEY: Final = (
    "Under a key of the stack, access to the data needs the key policy as well as the service's own policy, "
    "and every use is in CloudTrail; AWS's default keys offer neither."
)
# the property by which each type takes a key of ours, and whether it is encrypted without one
KEYED: Final[Mapping[str, tuple[str, str]]] = {
    "aws:backup/vault:Vault": ("kmsKeyArn", ""),
    "aws:cloudtrail/trail:Trail": ("kmsKeyId", "CKV_AWS_35"),
    "aws:cloudwatch/eventBus:EventBus": ("kmsKeyIdentifier", ""),
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId", "CKV_AWS_158"),
    "aws:dynamodb/table:Table": ("serverSideEncryption.kmsKeyArn", "CKV_AWS_119"),
    "aws:ebs/volume:Volume": ("kmsKeyId", "CKV_AWS_189"),
    "aws:efs/fileSystem:FileSystem": ("kmsKeyId", "CKV_AWS_184"),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("kmsKeyId", "CKV_AWS_191"),
    "aws:kinesis/stream:Stream": ("kmsKeyId", "CKV_AWS_185"),
    "aws:rds/cluster:Cluster": ("kmsKeyId", "CKV_AWS_327"),
    "aws:rds/instance:Instance": ("kmsKeyId", "CKV_AWS_354"),
    "aws:secretsmanager/secret:Secret": ("kmsKeyId", "CKV_AWS_149"),
    "aws:sns/topic:Topic": ("kmsMasterKeyId", "CKV_AWS_26"),
    "aws:sqs/queue:Queue": ("kmsMasterKeyId", "CKV_AWS_27"),
    "aws:ssm/parameter:Parameter": ("keyId", "CKV_AWS_337"),
}
# the flag that turns encryption on, where there is one
FLAGGED: Final[Mapping[str, str]] = {
    "aws:dynamodb/table:Table": "serverSideEncryption.enabled",
    "aws:ebs/volume:Volume": "encrypted",
    "aws:efs/fileSystem:FileSystem": "encrypted",
    "aws:elasticache/replicationGroup:ReplicationGroup": "atRestEncryptionEnabled",
    "aws:rds/cluster:Cluster": "storageEncrypted",
    "aws:rds/instance:Instance": "storageEncrypted",
}


# what a type needs besides its key
_STREAM: Final[Mapping[str, dict[str, Any]]] = {"aws:kinesis/stream:Stream": {"encryptionType": "KMS"}}


def _cache(**given: Any) -> Example:
    """A cache that asks who is there."""
    inputs = {
        "transitEncryptionEnabled": True,
        "transitEncryptionMode": "required",
        "authToken": {"fn::secret": "correct-horse-battery"},
        **given,
    }
    return example(it=res("elasticache/ReplicationGroup", **inputs))


def _mounted(transit: str) -> Example:
    """A task with a file system."""
    volume = {
        "name": "data",
        "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": transit},
    }
    return example(it=res("ecs/TaskDefinition", family="api", volumes=[volume]))


@one(
    "SLP-ENC-001",
    "Stores are encrypted at rest",
    "critical",
    "encryption",
    frameworks=maps("RDS.3 ElastiCache.4 EC2.3", checkov="16"),
    rationale="A snapshot, a backup or a returned disk can be read by whoever gets hold of it.",
    remediation="turn the flag on; most stores can only be encrypted when they are created",
    applies_to=tuple(FLAGGED),
    waivable=False,
    bad=(
        example(it=res("rds/Instance", engine="postgres", storageEncrypted=False)),
        *(example(it=Resource(type_, nested(flag, value=False))) for type_, flag in FLAGGED.items()),
    ),
    good=(
        example(it=res("rds/Instance", engine="postgres", storageEncrypted=True)),
        *(example(it=Resource(type_, nested(flag, value=True))) for type_, flag in FLAGGED.items()),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("replicateSourceDb",),
)
def encrypted_at_rest(store: Node, _settings: Settings) -> Verdict:
    """By the store's own flag; a read replica inherits its source's."""
    flag = FLAGGED[store.type]
    if store.given("replicateSourceDb"):
        return PASS
    return need(_true(store.known(flag)), f"{flag} is not on")


@one(
    "SLP-ENC-002",
    "Data is encrypted under a key of the stack",
    "high",
    "encryption",
    frameworks=maps("SQS.1 SNS.1", nag="SQS2", checkov="27 158"),
    rationale=_RATIONALE_KEY,
    remediation="give it the stack's KMS key",
    applies_to=tuple(KEYED),
    bad=(
        example(it=res("sqs/Queue", name="jobs")),
        example(it=res("sqs/Queue", name="jobs", kmsMasterKeyId="alias/aws/sqs")),
        example(it=res("kinesis/Stream", encryptionType="NONE", kmsKeyId=KEY)),
        *(example(it=Resource(type_, {"encryptionType": "KMS"})) for type_ in KEYED),
    ),
    good=(
        example(
            key=res("kms/Key", enableKeyRotation=True),
            it=res("sqs/Queue", name="jobs", kmsMasterKeyId="${key.arn}"),
        ),
        *(
            example(it=Resource(type_, {**nested(path, value=KEY), **_STREAM.get(type_, {})}))
            for type_, (path, _) in KEYED.items()
        ),
        example(it=res("rds/Instance", replicateSourceDb="primary")),
    ),
    presence=("*",),
)
def customer_key(node: Node, _settings: Settings) -> Verdict:
    """That a key is named is known even while its ARN is not."""
    key, _ = KEYED[node.type]
    if node.given("replicateSourceDb"):
        return PASS
    if node.type == "aws:kinesis/stream:Stream" and node.known("encryptionType", "NONE") != "KMS":
        return need(condition=False, message="encryptionType is not KMS")
    value = node.get(key)
    if isinstance(value, str) and value.startswith("alias/aws/"):
        return need(condition=False, message=f"{key} is the key of AWS, not one of the stack")
    return need(node.given(key), f"has no {key}")


@one(
    "SLP-ENC-003",
    "Parameters are SecureStrings",
    "high",
    "encryption",
    frameworks=maps(checkov="337 2-34"),
    rationale="A String parameter is plain text for everyone who may list parameters.",
    remediation="set type to SecureString with key_id, and give `value`, not `insecure_value`",
    applies_to=("aws:ssm/parameter:Parameter",),
    bad=(
        example(it=res("ssm/Parameter", name="/token", type="String", value="…")),
        example(it=res("ssm/Parameter", name="/token", type="SecureString", insecureValue="…")),
    ),
    good=(example(it=res("ssm/Parameter", name="/token", type="SecureString", value="…", keyId=KEY)),),
    links=(
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html",
    ),
)
def secure_parameters(parameter: Node, _settings: Settings) -> Verdict:
    """The value itself is never looked at."""
    if parameter.given("insecureValue"):
        return need(condition=False, message="insecureValue is set")
    return need(parameter.known("type") == "SecureString", "type is not SecureString")


@one(
    "SLP-ENC-004",
    "Image repositories are encrypted under a KMS key",
    "medium",
    "encryption",
    frameworks=maps(checkov="136"),
    rationale=_RATIONALE_KEY,
    remediation="set encryption_configurations to KMS with the stack's key (only when it is created)",
    applies_to=("aws:ecr/repository:Repository",),
    bad=(example(it=res("ecr/Repository", encryptionConfigurations=[{"encryptionType": "AES256"}])),),
    good=(
        example(
            it=res("ecr/Repository", encryptionConfigurations=[{"encryptionType": "KMS", "kmsKey": KEY}])
        ),
    ),
    links=("https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html",),
)
def ecr_kms(repository: Node, _settings: Settings) -> Verdict:
    """ECR's own default is AES256."""
    blocks = repository.blocks("encryptionConfigurations")
    kms = [block for block in blocks if block.known("encryptionType") in ("KMS", "KMS_DSSE")]
    return need(bool(kms), "encryptionConfigurations is not KMS")


@one(
    "SLP-ENC-005",
    "Keys rotate",
    "high",
    "encryption",
    frameworks=maps("KMS.4", cis="3.6", nag="KMS5", checkov="7"),
    rationale="Rotation bounds how much data one key's material protects; AWS does it without a new ARN.",
    remediation="set enable_key_rotation",
    applies_to=("aws:kms/key:Key",),
    bad=(example(it=res("kms/Key", enableKeyRotation=False)),),
    good=(
        example(it=res("kms/Key", enableKeyRotation=True)),
        example(it=res("kms/Key", customerMasterKeySpec="RSA_2048")),
    ),
)
def key_rotation(key: Node, _settings: Settings) -> Verdict:
    """Asymmetric and HMAC keys cannot rotate."""
    if key.known("customerMasterKeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        return PASS
    return need(_true(key.known("enableKeyRotation")), "enableKeyRotation is not on")


@one(
    "SLP-ENC-006",
    "Caches speak TLS only, and ask who is there",
    "critical",
    "encryption",
    frameworks=maps("ElastiCache.5 ElastiCache.6", nag="AEC3", checkov="30"),
    rationale="Redis without TLS shows every message and its password to whoever is on the path.",
    remediation="set transit_encryption_enabled, transit_encryption_mode='required', and auth_token or users",
    applies_to=("aws:elasticache/replicationGroup:ReplicationGroup",),
    bad=(
        _cache(transitEncryptionEnabled=False),
        _cache(transitEncryptionMode="preferred"),
        _cache(authToken=""),
    ),
    good=(_cache(), _cache(authToken="", userGroupIds=["users"])),
    presence=("authToken", "userGroupIds"),
)
def cache_tls(cache: Node, _settings: Settings) -> Verdict:
    """`preferred` still lets plain connections in."""
    wrong: list[str] = []
    if not _true(cache.known("transitEncryptionEnabled")):
        wrong.append("transitEncryptionEnabled is not on")
    # the default of a new group with TLS on is `required`
    if cache.known("transitEncryptionMode", "required") != "required":
        wrong.append("transitEncryptionMode lets plain connections in")
    if not cache.given("authToken") and not cache.given("userGroupIds"):
        wrong.append("there is neither authToken nor userGroupIds")
    return need(not wrong, "; ".join(wrong))


@one(
    "SLP-ENC-007",
    "Load balancers listen on HTTPS, or redirect to it",
    "high",
    "encryption",
    frameworks=maps("ELB.1", checkov="2 2-20"),
    rationale="Tokens and positions sent over plain HTTP can be read and changed on the way.",
    remediation="listen on HTTPS; let the HTTP listener's default action redirect to HTTPS",
    applies_to=("aws:lb/listener:Listener",),
    bad=(
        example(it=res("lb/Listener", port=80, protocol="HTTP", defaultActions=[{"type": "forward"}])),
        example(
            it=res(
                "lb/Listener",
                port=80,
                protocol="HTTP",
                defaultActions=[{"type": "redirect", "redirect": {"protocol": "HTTP"}}],
            )
        ),
        example(it=res("lb/Listener", port=5432, protocol="TCP")),
    ),
    good=(
        example(
            it=res(
                "lb/Listener",
                port=80,
                protocol="HTTP",
                defaultActions=[{"type": "redirect", "redirect": {"protocol": "HTTPS"}}],
            )
        ),
        example(it=res("lb/Listener", port=443, protocol="HTTPS")),
        example(it=res("lb/Listener", port=443, protocol="TLS")),
    ),
)
def https_listeners(listener: Node, _settings: Settings) -> Verdict:
    """Network load balancers say TLS."""
    protocol = listener.known("protocol", "HTTP")
    if protocol in ("HTTPS", "TLS"):
        return PASS
    if protocol == "HTTP":
        actions = listener.blocks("defaultActions")
        targets = [
            action.known("redirect.protocol") for action in actions if action.known("type") == "redirect"
        ]
        return need(bool(targets) and set(targets) == {"HTTPS"}, "HTTP without a redirect to HTTPS")
    return need(condition=False, message="its protocol is not encrypted")


@one(
    "SLP-ENC-008",
    "Listeners offer TLS 1.2 and 1.3 only",
    "high",
    "encryption",
    frameworks=maps("ELB.17", checkov="103 2-74"),
    rationale="TLS 1.0 and 1.1 are broken; AWS's default policy of a listener still offers them.",
    remediation="set ssl_policy to ELBSecurityPolicy-TLS13-1-2-2021-06 or a later TLS13 policy",
    applies_to=("aws:lb/listener:Listener",),
    bad=(
        example(it=res("lb/Listener", protocol="HTTPS", sslPolicy="ELBSecurityPolicy-2016-08")),
        example(it=res("lb/Listener", protocol="TLS", sslPolicy="ELBSecurityPolicy-TLS13-1-1-2021-06")),
        example(it=res("lb/Listener", protocol="HTTPS")),
    ),
    good=(
        example(it=res("lb/Listener", protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")),
        example(it=res("lb/Listener", protocol="TLS", sslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")),
    ),
    absent="silent",
)
def tls_policy(listener: Node, _settings: Settings) -> Verdict | None:
    """The TLS13 family has members that keep TLS 1.0 or 1.1 for old clients: not these."""
    if listener.known("protocol", "HTTP") not in ("HTTPS", "TLS"):
        return None
    policy = str(listener.known("sslPolicy", "AWS's default"))
    modern = policy.startswith(("ELBSecurityPolicy-TLS13-1-2", "ELBSecurityPolicy-TLS13-1-3"))
    named = policy if policy.startswith("ELBSecurityPolicy-") else "none of AWS's TLS 1.2 policies"
    return need(modern, f"sslPolicy is {named}")


@one(
    "SLP-ENC-009",
    "Environments of functions are encrypted under a key of the stack",
    "medium",
    "encryption",
    frameworks=maps(checkov="173"),
    rationale=_RATIONALE_KEY,
    remediation="set kms_key_arn on the function, or drop its environment",
    applies_to=("aws:lambda/function:Function",),
    bad=(example(it=res("lambda/Function", environment={"variables": {"TABLE": "orders"}})),),
    good=(
        example(it=res("lambda/Function", environment={"variables": {"TABLE": "orders"}}, kmsKeyArn=KEY)),
        example(it=res("lambda/Function", environment={"variables": {}})),
    ),
    absent="pass",
    presence=("environment.variables", "kmsKeyArn"),
    links=("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html",),
)
def lambda_environment(function: Node, _settings: Settings) -> Verdict:
    """A function without variables has nothing to encrypt."""
    if not function.given("environment.variables"):
        return PASS
    return need(function.given("kmsKeyArn"), "has environment variables and no kmsKeyArn")


@one(
    "SLP-ENC-010",
    "Disks of instances are encrypted",
    "high",
    "encryption",
    frameworks=maps("EC2.181", nag="EC26", checkov="8"),
    rationale="A snapshot of an unencrypted disk can be shared and read.",
    remediation="set encrypted on each block device that has EBS",
    applies_to=("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance"),
    bad=(
        example(it=res("ec2/LaunchTemplate", blockDeviceMappings=[{"ebs": {"encrypted": "false"}}])),
        example(it=res("ec2/Instance", rootBlockDevice={"encrypted": False})),
        example(
            it=res(
                "ec2/Instance", rootBlockDevice={"encrypted": True}, ebsBlockDevices=[{"encrypted": False}]
            )
        ),
    ),
    good=(
        example(it=res("ec2/LaunchTemplate", blockDeviceMappings=[{"ebs": {"encrypted": "true"}}])),
        example(it=res("ec2/Instance", rootBlockDevice={"encrypted": True})),
    ),
)
def instance_disks(node: Node, _settings: Settings) -> Verdict:
    """Disks that the image brings are described too, or they follow the account's default."""
    if node.type == "aws:ec2/launchTemplate:LaunchTemplate":
        devices = [disk for device in node.blocks("blockDeviceMappings") for disk in device.blocks("ebs")]
    else:
        devices = [*node.blocks("rootBlockDevice"), *node.blocks("ebsBlockDevices")]
    if not devices:
        return need(condition=False, message="describes no disk, so the account's default decides")
    return need(all(_true(device.known("encrypted")) for device in devices), "a disk is not encrypted")


@one(
    "SLP-ENC-011",
    "File systems of tasks are mounted with TLS",
    "medium",
    "encryption",
    frameworks=maps(checkov="97"),
    rationale="NFS without TLS carries every byte in the clear.",
    remediation="set efs_volume_configuration.transit_encryption to ENABLED",
    applies_to=("aws:ecs/taskDefinition:TaskDefinition",),
    bad=(_mounted("DISABLED"),),
    good=(_mounted("ENABLED"),),
    absent="pass",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/efs-volumes.html",),
)
def efs_in_transit(task: Node, _settings: Settings) -> Verdict:
    """Tasks without EFS pass."""
    mounts = [mount for volume in task.blocks("volumes") for mount in volume.blocks("efsVolumeConfiguration")]
    encrypted = all(mount.known("transitEncryption") == "ENABLED" for mount in mounts)
    return need(encrypted, "a volume of EFS has transitEncryption off")


@one(
    "SLP-ENC-012",
    "Database proxies insist on TLS",
    "high",
    "encryption",
    frameworks=maps("RDS.43"),
    rationale="A proxy that takes plain connections makes the database's own TLS worth nothing.",
    remediation="set require_tls",
    applies_to=("aws:rds/proxy:Proxy",),
    bad=(example(it=res("rds/Proxy", engineFamily="POSTGRESQL", requireTls=False)),),
    good=(example(it=res("rds/Proxy", engineFamily="POSTGRESQL", requireTls=True)),),
)
def proxy_tls(proxy: Node, _settings: Settings) -> Verdict:
    """Off unless said."""
    return need(_true(proxy.known("requireTls")), "requireTls is not on")


@one(
    "SLP-ENC-013",
    "Performance data is encrypted under a key of the stack",
    "low",
    "encryption",
    frameworks=maps(checkov="354"),
    rationale="Performance Insights keeps query texts, which may hold values.",
    remediation="set performance_insights_kms_key_id",
    applies_to=("aws:rds/instance:Instance",),
    bad=(example(it=res("rds/Instance", performanceInsightsEnabled=True)),),
    good=(
        example(it=res("rds/Instance", performanceInsightsEnabled=True, performanceInsightsKmsKeyId=KEY)),
        example(it=res("rds/Instance", performanceInsightsEnabled=False)),
    ),
    absent="pass",
    presence=("performanceInsightsKmsKeyId",),
    links=("https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.access-control.html",),
)
def insights_key(database: Node, _settings: Settings) -> Verdict:
    """Only where it is on."""
    if not _true(database.known("performanceInsightsEnabled")):
        return PASS
    return need(database.given("performanceInsightsKmsKeyId"), "has no performanceInsightsKmsKeyId")


def _true(value: object) -> bool:
    """Launch templates and ElastiCache take booleans as text."""
    return value is True or str(value).lower() == "true"


CONTROLS = (
    encrypted_at_rest,
    customer_key,
    secure_parameters,
    ecr_kms,
    key_rotation,
    cache_tls,
    https_listeners,
    tls_policy,
    lambda_environment,
    instance_disks,
    efs_in_transit,
    proxy_tls,
    insights_key,
)
