"""Encryption that one resource decides for itself: at rest under a key of ours, in transit by TLS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policies.control import PASS, Verdict, need, one
from policies.example import KEY, Example, Resource, example, nested, res
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import token, tokens, true
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
    return need(true(store.known(flag)), f"{flag} is not on")


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
        *(example(it=Resource(type_, _STREAM.get(type_, {}))) for type_ in KEYED),
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
    return need(true(key.known("enableKeyRotation")), "enableKeyRotation is not on")


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
    return need(all(true(device.known("encrypted")) for device in devices), "a disk is not encrypted")


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
    if not true(database.known("performanceInsightsEnabled")):
        return PASS
    return need(database.given("performanceInsightsKmsKeyId"), "has no performanceInsightsKmsKeyId")


@one(
    "SLP-ENC-019",
    "The region encrypts disks by default, where the program says anything of it",
    "high",
    "encryption",
    frameworks=maps("EC2.7", checkov="106"),
    rationale="The default catches the disks that no program describes, those of images among them.",
    remediation="set enabled to true",
    applies_to=tokens("ebs/EncryptionByDefault"),
    bad=(example(it=res("ebs/EncryptionByDefault", enabled=False)),),
    good=(example(it=res("ebs/EncryptionByDefault", enabled=True)),),
    absent="pass",
)
def disks_by_default(node: Node, _settings: Settings) -> Verdict:
    """The resource itself turns it on unless told otherwise."""
    return need(true(node.known("enabled", default=True)), "enabled is off")


def _exec(**given: Any) -> Example:
    return example(it=res("ecs/Cluster", configuration={"executeCommandConfiguration": given}))


_EXEC_LOGS: Final = {"cloudWatchLogGroupName": "/exec", "cloudWatchEncryptionEnabled": True}


@one(
    "SLP-ENC-020",
    "Shells in tasks are encrypted under a key of the stack, and logged",
    "medium",
    "encryption",
    frameworks=maps(checkov="223 224"),
    rationale="ECS Exec opens a shell in a running task: what was typed there must be on record.",
    remediation="set execute_command_configuration: kms_key_id, logging OVERRIDE, and an encrypted log group",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html",),
    applies_to=tokens("ecs/Cluster"),
    bad=(
        _exec(logging="NONE", kmsKeyId=KEY),
        _exec(logging="OVERRIDE", logConfiguration=_EXEC_LOGS),
        _exec(logging="OVERRIDE", kmsKeyId=KEY, logConfiguration={"cloudWatchLogGroupName": "/exec"}),
        _exec(logging="DEFAULT", kmsKeyId=KEY),
    ),
    good=(
        _exec(logging="OVERRIDE", kmsKeyId=KEY, logConfiguration=_EXEC_LOGS),
        _exec(
            logging="OVERRIDE",
            kmsKeyId=KEY,
            logConfiguration={"s3BucketName": "exec", "s3BucketEncryptionEnabled": True},
        ),
    ),
    presence=("kmsKeyId", "cloudWatchLogGroupName", "s3BucketName"),
)
def exec_recorded(cluster: Node, _settings: Settings) -> Verdict:
    """Whether a service allows Exec at all is decided per service; the cluster is ready for it."""
    path = "configuration.executeCommandConfiguration"
    if not cluster.given(f"{path}.kmsKeyId"):
        return need(condition=False, message="executeCommandConfiguration has no kmsKeyId")
    if cluster.known(f"{path}.logging") != "OVERRIDE":
        return need(condition=False, message="executeCommandConfiguration.logging is not OVERRIDE")
    logs = f"{path}.logConfiguration"
    group = cluster.given(f"{logs}.cloudWatchLogGroupName")
    bucket = cluster.given(f"{logs}.s3BucketName")
    sealed = (group and true(cluster.known(f"{logs}.cloudWatchEncryptionEnabled"))) or (
        bucket and true(cluster.known(f"{logs}.s3BucketEncryptionEnabled"))
    )
    return need(bool(sealed), "what is typed in a shell goes to no encrypted log")


@one(
    "SLP-ENC-021",
    "Traces and what canaries keep are encrypted under a key of the stack",
    "low",
    "encryption",
    rationale="Traces hold query texts and addresses, screenshots hold what users see.",
    remediation="set type to KMS with key_id, or artifact_config.s3_encryption to SSE_KMS",
    links=("https://docs.aws.amazon.com/xray/latest/devguide/xray-console-encryption.html",),
    applies_to=tokens("xray/EncryptionConfig", "synthetics/Canary"),
    bad=(
        example(it=res("xray/EncryptionConfig", type="NONE")),
        example(it=res("synthetics/Canary", name="front")),
        example(
            it=res("synthetics/Canary", artifactConfig={"s3Encryption": {"encryptionMode": "SSE_S3"}}),
        ),
    ),
    good=(
        example(it=res("xray/EncryptionConfig", type="KMS", keyId=KEY)),
        example(
            it=res(
                "synthetics/Canary",
                artifactConfig={"s3Encryption": {"encryptionMode": "SSE_KMS", "kmsKeyArn": KEY}},
            )
        ),
    ),
)
def traces_encrypted(node: Node, _settings: Settings) -> Verdict:
    """Both have AWS's own key as their default."""
    if node.type == token("xray/EncryptionConfig"):
        return need(node.known("type") == "KMS", "type is not KMS")
    mode = node.known("artifactConfig.s3Encryption.encryptionMode")
    return need(mode == "SSE_KMS", "artifactConfig.s3Encryption is not SSE_KMS")


@one(
    "SLP-ENC-022",
    "Caches of APIs are encrypted",
    "high",
    "encryption",
    frameworks=maps("APIGateway.5", checkov="308"),
    rationale="A cache holds whole answers, and with them what users see.",
    remediation="set settings.cache_data_encrypted",
    applies_to=tokens("apigateway/MethodSettings"),
    bad=(
        example(it=res("apigateway/MethodSettings", settings={"cachingEnabled": True})),
        example(
            it=res(
                "apigateway/MethodSettings", settings={"cachingEnabled": True, "cacheDataEncrypted": False}
            )
        ),
    ),
    good=(
        example(
            it=res("apigateway/MethodSettings", settings={"cachingEnabled": True, "cacheDataEncrypted": True})
        ),
        example(it=res("apigateway/MethodSettings", settings={"cachingEnabled": False})),
    ),
    absent="pass",
)
def api_cache(node: Node, _settings: Settings) -> Verdict:
    """What is not cached needs no encryption."""
    if not true(node.known("settings.cachingEnabled")):
        return PASS
    return need(true(node.known("settings.cacheDataEncrypted")), "settings.cacheDataEncrypted is not on")


CONTROLS = (
    encrypted_at_rest,
    customer_key,
    secure_parameters,
    ecr_kms,
    key_rotation,
    lambda_environment,
    instance_disks,
    insights_key,
    disks_by_default,
    exec_recorded,
    traces_encrypted,
    api_cache,
)
