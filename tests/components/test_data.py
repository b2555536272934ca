"""The data tier: isolated, encrypted, TLS only, let in by links, kept or thrown away as a whole."""

from __future__ import annotations

import functools
import json
import re
import shlex
from dataclasses import replace
from typing import Any

import boto3
import pulumi
import pytest

from components.base import Context
from components.data.component import DataTier
from components.data.config import DataConfig
from components.key import Key
from components.links import Link
from components.network.component import Network
from components.network.config import NetworkConfig
from tests.components.support import CTX, MODES, UNKNOWN, Program, Registration, document, run

DEV = CTX
PROD = replace(CTX, stack="prod", lifecycle="retained", availability="ha")
CONFIG = DataConfig.model_validate(
    {
        "buckets": {"images": {}, "archive": {"lifecycle": "ia_after_30_days", "versioning": False}},
        "secrets": ["mail-key"],
        "alarms": {"emails": ["oncall@example.com"]},
    }
)
NETWORK = NetworkConfig(zones=("a", "b"), kinds=("isolated",))
STATEFUL = ("Instance", "ReplicationGroup", "Bucket", "Secret", "Key")


def build(
    ctx: Context = DEV, mode: str = "preview", config: DataConfig = CONFIG
) -> tuple[Program, dict[str, Any]]:
    """The registrations of the tier on a network, and what it gives: its links and outputs."""
    return cached(ctx, mode, config.model_dump_json())


@functools.cache
def cached(ctx: Context, mode: str, config: str) -> tuple[Program, dict[str, Any]]:
    """One run for all tests that look at the same registrations."""
    given: dict[str, Any] = {}

    def program() -> None:
        key = Key("key", ctx=ctx, tier="security", purpose="stack", services=("logs", "cloudwatch"))
        network = Network("network", NETWORK, ctx=ctx, key=key)
        data = DataTier("data", DataConfig.model_validate_json(config), ctx=ctx, network=network, key=key)
        given["connect"] = data.database.connect()
        given["administer"] = data.database.administer()
        given["cache"] = data.cache.connect()
        if "images" in data.buckets:
            given["read"] = data.buckets["images"].read("uploads/")
            given["write"] = data.buckets["images"].write("uploads/")
            given["secret"] = data.secrets["mail-key"].read()
        data.restore_command.apply(lambda command: given.update(restore_command=command))

    return run(program, stack=ctx.stack, mode=mode), given


def named(program: Program, type_: str, name: str) -> dict[str, Any]:
    """The inputs of one resource."""
    return program.one(type_, name).inputs


def targets(registration: Registration, key: str) -> set[str]:
    """The types of the resources an input comes from."""
    return {urn.split("::")[2].split("$")[-1] for urn in registration.depends(key)}


@pytest.mark.parametrize("ctx", [DEV, PROD], ids=["dev", "prod"])
@pytest.mark.parametrize("mode", MODES)
def test_every_document_is_known_json(ctx: Context, mode: str) -> None:
    """Key, bucket, topic and role documents are decidable before anything exists."""
    program, _ = build(ctx, mode)
    documents = [
        document(each.inputs[key])
        for each in program.resources
        for key in ("policy", "assumeRolePolicy")
        if key in each.inputs
    ]
    assert len(documents) >= 8
    assert all(each["Version"] == "2012-10-17" for each in documents)


@pytest.mark.parametrize("ctx", [DEV, PROD], ids=["dev", "prod"])
def test_everything_is_encrypted_under_the_stack_key(ctx: Context) -> None:
    """Every store, log, parameter and topic names the key; only the log bucket can't."""
    program, _ = build(ctx)
    keyed = {
        "Instance": ("kmsKeyId", "masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId"),
        "ReplicationGroup": ("kmsKeyId",),
        "Parameter": ("keyId",),
        "Secret": ("kmsKeyId",),
        "Topic": ("kmsMasterKeyId",),
        "LogGroup": ("kmsKeyId",),
    }
    for type_, inputs in keyed.items():
        found = [each for each in program.of(type_) if each.type.startswith("aws:")]
        assert found, type_
        for each in found:
            for key in inputs:
                assert "aws:kms/key:Key" in targets(each, key), (each.urn, key)
    algorithms = {
        each.name: each.inputs["rules"][0]["applyServerSideEncryptionByDefault"]["sseAlgorithm"]
        for each in program.of("BucketServerSideEncryptionConfiguration")
    }
    assert algorithms == {"logs": "AES256", "images": "aws:kms", "archive": "aws:kms"}


def test_database_is_isolated_tls_only_and_observed() -> None:
    """Isolated subnets, no public address, forced TLS, managed master secret under a name nobody guesses."""
    program, _ = build()
    database = program.one("rds/instance:Instance")
    assert database.inputs["publiclyAccessible"] is False
    assert database.inputs["storageEncrypted"] is True
    assert database.inputs["manageMasterUserPassword"] is True
    assert "password" not in database.inputs
    assert database.inputs["username"] not in {"postgres", "admin"}
    assert database.inputs["iamDatabaseAuthenticationEnabled"] is True
    assert database.inputs["storageType"] == "gp3"
    assert database.inputs["backupRetentionPeriod"] == 7
    assert database.inputs["performanceInsightsEnabled"] is True
    assert database.inputs["monitoringInterval"] == 60
    parameters = named(program, "rds/parameterGroup:ParameterGroup", "database")["parameters"]
    assert {"name": "rds.force_ssl", "value": "1", "applyMethod": "pending-reboot"} in parameters
    for group in (
        program.one("rds/subnetGroup:SubnetGroup"),
        program.one("elasticache/subnetGroup:SubnetGroup"),
    ):
        subnets = {urn.split("::")[-1] for urn in group.depends("subnetIds") if "ec2/subnet:Subnet" in urn}
        assert subnets == {"network-isolated-a", "network-isolated-b"}


def test_logs_of_the_database_are_made_before_it() -> None:
    """RDS would make its log groups itself, unencrypted and kept for ever."""
    program, _ = build()
    database = program.one("rds/instance:Instance")
    exported = {
        f"/aws/rds/instance/{database.inputs['identifier']}/{log}"
        for log in database.inputs["enabledCloudwatchLogsExports"]
    }
    groups = {each.inputs["name"]: each for each in program.of("LogGroup")}
    assert exported <= groups.keys()
    for name in exported:
        assert groups[name].inputs["retentionInDays"] > 0
        assert groups[name].urn in database.request.dependencies


def test_what_has_a_fixed_identifier_goes_before_its_successor_comes() -> None:
    """AWS refuses a second database or cache of one identifier, so a replacement deletes first."""
    program, _ = build()
    for type_ in ("rds/instance:Instance", "elasticache/replicationGroup:ReplicationGroup"):
        request = program.one(type_).request
        assert request.deleteBeforeReplace
        assert request.deleteBeforeReplaceDefined


def test_monitoring_may_write_before_the_database_asks() -> None:
    """RDS refuses a monitoring role whose policy is not attached yet."""
    program, _ = build()
    database = program.one("rds/instance:Instance")
    assert program.one("RolePolicyAttachment", "database-monitoring").urn in database.request.dependencies


@pytest.mark.parametrize("mode", MODES)
def test_key_lets_logs_in_by_encryption_context_only(mode: str) -> None:
    """Every log group of the tier fits the key policy's pattern; no service gets in without a condition."""
    program, _ = build(mode=mode)
    statements = document(program.one("kms/key:Key").inputs["policy"])["Statement"]
    services = [each for each in statements if "Service" in each["Principal"]]
    assert all(each["Condition"] for each in services)
    (logs,) = (each for each in services if each["Principal"]["Service"].startswith("logs."))
    patterns = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    expressions = [re.compile(re.escape(pattern).replace(r"\*", ".*")) for pattern in patterns]
    for group in program.of("LogGroup"):
        arn = CTX.log_group_arn(group.inputs["name"])
        assert any(expression.fullmatch(arn) for expression in expressions), arn


def test_cache_demands_tls_and_a_token() -> None:
    """TLS is required, the token is secret in state, and a lagging subscriber has room."""
    program, _ = build()
    cache = program.one("ReplicationGroup")
    assert cache.inputs["engine"] == "valkey"
    assert cache.inputs["transitEncryptionEnabled"] is True
    assert cache.inputs["transitEncryptionMode"] == "required"
    assert cache.inputs["atRestEncryptionEnabled"] is True
    assert "authToken" in cache.secrets
    values = {
        each["name"]: each["value"]
        for each in named(program, "elasticache/parameterGroup:ParameterGroup", "cache")["parameters"]
    }
    assert int(values["client-output-buffer-limit-pubsub-hard-limit"]) > 32 * 1024 * 1024
    assert values["maxmemory-policy"] == "noeviction"


def test_passwords_are_generated_and_secret() -> None:
    """No password is in the program; parameters are SecureStrings and secret in state."""
    program, _ = build(mode="resolved")
    parameters = program.of("ssm/parameter:Parameter")
    assert {each.inputs["name"] for each in parameters} == {
        f"/slipway/dev/data/{name}"
        for name in (
            "database-host",
            "database-app-password",
            "database-admin-secret-arn",
            "cache-host",
            "cache-auth-token",
        )
    }
    assert all(each.inputs["type"] == "SecureString" for each in parameters)
    for name in ("database-app-password", "cache-auth-token"):
        assert "value" in program.one("ssm/parameter:Parameter", name).secrets
    lengths = {each.name: each.inputs["length"] for each in program.of("RandomPassword")}
    assert lengths == {"database-app": 40, "cache-auth": 64}  # ElastiCache takes 16 to 128 characters


@pytest.mark.parametrize(("ctx", "kept"), [(DEV, False), (PROD, True)], ids=["disposable", "retained"])
def test_lifecycle(ctx: Context, kept: bool) -> None:
    """Disposable: nothing stands in the way of a destroy; retained: protected, final snapshots, 30 days."""
    program, _ = build(ctx)
    database, cache = program.one("rds/instance:Instance"), program.one("ReplicationGroup")
    assert database.inputs["deletionProtection"] is kept
    assert database.inputs["skipFinalSnapshot"] is not kept
    assert ("finalSnapshotIdentifier" in database.inputs) is kept
    assert database.inputs["deleteAutomatedBackups"] is not kept
    assert ("finalSnapshotIdentifier" in cache.inputs) is kept
    assert named(program, "secretsmanager/secret:Secret", "mail-key")["recoveryWindowInDays"] == (
        30 if kept else 0
    )
    assert all(each.inputs["forceDestroy"] is not kept for each in program.of("s3/bucket:Bucket"))
    stateful = [
        each
        for each in program.resources
        if each.type.split(":")[-1] in STATEFUL and each.type.startswith("aws:")
    ]
    assert len(stateful) == 7
    assert all(each.request.protect is kept for each in stateful)
    assert all(each.request.retainOnDelete is kept for each in stateful)


@pytest.mark.parametrize(("ctx", "zones"), [(DEV, 1), (PROD, 2)], ids=["pilot", "ha"])
def test_availability(ctx: Context, zones: int) -> None:
    """A pilot has one of each; an ha stack a standby database and a replica that takes over by itself."""
    program, _ = build(ctx)
    cache = program.one("ReplicationGroup").inputs
    assert program.one("rds/instance:Instance").inputs["multiAz"] is (zones > 1)
    assert cache["numCacheClusters"] == zones
    assert cache["automaticFailoverEnabled"] is cache["multiAzEnabled"] is (zones > 1)
    nodes = {each.inputs["dimensions"].get("CacheClusterId") for each in program.of("MetricAlarm")} - {None}
    assert nodes == {f"slipway-{ctx.stack}-cache-00{node + 1}" for node in range(zones)}


def test_stateful_groups_have_no_rules_of_their_own() -> None:
    """Only a linked service opens a port: alone, the tier lets nobody in and nothing out."""
    program, _ = build()
    groups = {"database", "cache"}
    assert groups <= {each.name for each in program.of("SecurityGroup")}
    rules = program.of("SecurityGroupIngressRule") + program.of("SecurityGroupEgressRule")
    assert all("ec2/vpcEndpoint" in each.urn or each.name.startswith("network") for each in rules)
    for name in groups:
        assert not {"ingress", "egress"} & named(program, "SecurityGroup", name).keys()


def test_buckets_are_private_tls_only_and_get_cheaper() -> None:
    """Per bucket: four public access flags, owner-enforced, TLS only, logged, lifecycle as configured."""
    program, _ = build()
    for name in ("images", "archive", "logs"):
        bucket = named(program, "s3/bucket:Bucket", name)["bucket"]
        assert bucket == f"slipway-dev-{name}-111111111111-us-east-1"
        block = named(program, "BucketPublicAccessBlock", name)
        assert all(block[flag] is True for flag in block if flag != "bucket")
        assert len(block) == 5
        statements = document(named(program, "BucketPolicy", name)["policy"])["Statement"]
        (deny,) = (each for each in statements if each["Effect"] == "Deny")
        assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert deny["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        assert named(program, "BucketOwnershipControls", name)["rule"] == {
            "objectOwnership": "BucketOwnerEnforced"
        }
        (rule,) = named(program, "BucketLifecycleConfiguration", name)["rules"]
        assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert {each.name for each in program.of("BucketLogging")} == {"images", "archive"}
    transitions = {
        name: named(program, "BucketLifecycleConfiguration", name)["rules"][0]["transitions"]
        for name in ("images", "archive")
    }
    assert transitions == {
        "images": [{"days": 0, "storageClass": "INTELLIGENT_TIERING"}],
        "archive": [{"days": 30, "storageClass": "STANDARD_IA"}],
    }


def test_log_bucket_takes_logs_of_this_account_only() -> None:
    """The balancer and S3 write under their own prefix, each bound to this account."""
    program, _ = build()
    statements = document(named(program, "BucketPolicy", "logs")["policy"])["Statement"]
    allowed = {each["Sid"]: each for each in statements if each["Effect"] == "Allow"}
    assert allowed.keys() == {"LoadBalancerLogs", "BucketLogs"}
    for each in allowed.values():
        assert each["Action"] == ["s3:PutObject"]
        assert CTX.account_id in json.dumps(each["Condition"])
        assert not each["Resource"][0].endswith("us-east-1/*")


def test_topic_takes_alarms_over_tls_only() -> None:
    """CloudWatch of this account publishes; whoever comes without TLS does not; people subscribe by mail."""
    program, _ = build()
    statements = document(program.one("TopicPolicy").inputs["policy"])["Statement"]
    assert [each["Effect"] for each in statements] == ["Deny", "Allow"]
    assert statements[1]["Condition"] == {"StringEquals": {"aws:SourceAccount": CTX.account_id}}
    assert program.one("TopicSubscription").inputs["endpoint"] == "oncall@example.com"


def test_every_alarm_reports() -> None:
    """Database and cache have alarms on what kills them, and each reaches the topic."""
    program, _ = build()
    alarms = program.of("MetricAlarm")
    assert {each.inputs["metricName"] for each in alarms} == {
        "CPUUtilization",
        "FreeStorageSpace",
        "DatabaseConnections",
        "EngineCPUUtilization",
        "DatabaseMemoryUsagePercentage",
    }
    assert all("aws:sns/topic:Topic" in targets(each, "alarmActions") for each in alarms)


@pytest.mark.parametrize("mode", MODES)
def test_links_carry_literals_parameters_and_a_rule(mode: str) -> None:
    """A link's variables are literals or ARNs of parameters that the tier makes; nothing is an Output."""
    program, given = build(mode=mode)
    parameters = {CTX.parameter_arn(each.inputs["name"]) for each in program.of("ssm/parameter:Parameter")}
    links: list[Link] = [
        given[name] for name in ("connect", "administer", "cache", "read", "write", "secret")
    ]
    for link in links:
        assert all(isinstance(value, str) for value in link.environment.values())
        assert set(link.secrets.values()) <= parameters
        assert link.depends_on
    assert given["connect"].environment["DATABASE_USERNAME"] == "slipway_app"
    assert given["connect"].secrets.keys() == {"DATABASE_HOST", "DATABASE_PASSWORD"}
    assert given["connect"].statements == ()
    assert [each.port for each in given["connect"].ingress] == [5432]
    assert [each.port for each in given["cache"].ingress] == [6379]


def test_administer_reads_the_secret_of_this_instance_only() -> None:
    """RDS names the secret itself, so the statement is bound to the tag that names the instance."""
    program, given = build()
    read, decrypt = given["administer"].statements
    assert read.actions == ("secretsmanager:GetSecretValue",)
    (tag,) = read.conditions["StringEquals"].values()
    identifier = program.one("rds/instance:Instance").inputs["identifier"]
    assert tag == f"arn:aws:rds:us-east-1:111111111111:db:{identifier}"
    assert decrypt.actions == ("kms:Decrypt",)
    assert decrypt.conditions["ForAnyValue:StringEquals"] == {
        "kms:ResourceAliases": ["alias/slipway-dev-stack"]
    }


def test_bucket_links_are_bound_to_their_folder() -> None:
    """Reading and writing reach one folder, and a prefix that is none is refused."""
    _, given = build()
    bucket = "arn:aws:s3:::slipway-dev-images-111111111111-us-east-1"
    objects = {each.sid: each.resources for each in given["read"].statements + given["write"].statements}
    assert objects["ReadImagesUploads"] == objects["WriteImagesUploads"] == (f"{bucket}/uploads/*",)
    assert objects["ListImagesUploads"] == (bucket,)
    assert given["read"].environment == {"IMAGES_BUCKET": bucket.rsplit(":", maxsplit=1)[-1]}
    assert given["secret"].environment == {"MAIL_KEY_SECRET": "slipway/dev/mail-key"}


@pytest.mark.parametrize("prefix", ["", "uploads", "/uploads/", "up*/"])
def test_prefix_must_be_a_folder(prefix: str) -> None:
    """`up` would match `uploads-of-others/` too."""

    def program() -> None:
        key = Key("key", ctx=DEV, tier="security", purpose="stack")
        network = Network("network", NETWORK, ctx=DEV, key=key)
        DataTier("data", CONFIG, ctx=DEV, network=network, key=key).buckets["images"].read(prefix)

    with pytest.raises(ValueError, match="give a folder"):
        run(program)


def test_restore_command_is_whole_and_real() -> None:
    """Every option of the command exists in the RDS API, and it names what a restore would otherwise lose."""
    program, given = build(mode="resolved")
    words = shlex.split(given["restore_command"])
    assert words[:3] == ["aws", "rds", "restore-db-instance-to-point-in-time"]
    options = {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")}
    client = boto3.client("rds", region_name="us-east-1")
    members = client.meta.service_model.operation_model("RestoreDBInstanceToPointInTime").input_shape.members
    known = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower() for name in members} | {"region"}
    assert {each.replace("-", "") for each in options} <= {each.replace("-", "") for each in known}
    group = named(program, "rds/parameterGroup:ParameterGroup", "database")["name"]
    assert words[words.index("--db-parameter-group-name") + 1] == group
    assert words[-2:] == ["--vpc-security-group-ids", "database-id"]
    assert UNKNOWN not in given["restore_command"]


def test_major_version_makes_new_parameter_groups() -> None:
    """A parameter group can't change its family, so the family is part of the name; RDS may upgrade."""
    config = DataConfig.model_validate(
        {"database": {"engine_version": "18"}, "cache": {"engine_version": "7.2"}}
    )
    old, _ = build()
    new, _ = build(config=config)
    for type_, name in (
        ("rds/parameterGroup:ParameterGroup", "database"),
        ("elasticache/parameterGroup:ParameterGroup", "cache"),
    ):
        assert named(old, type_, name)["name"] != named(new, type_, name)["name"]
    assert named(new, "rds/instance:Instance", "database")["allowMajorVersionUpgrade"] is True
    assert named(new, "rds/parameterGroup:ParameterGroup", "database")["family"] == "postgres18"
    assert named(new, "elasticache/parameterGroup:ParameterGroup", "cache")["family"] == "valkey7"


@pytest.mark.parametrize("mode", MODES)
def test_all_children_are_tagged_and_inside(mode: str) -> None:
    """Every taggable resource of the tier says whose it is, and none stands outside its component."""
    program, _ = build(mode=mode)
    mine = [
        each for each in program.resources if "data:DataTier" in each.urn and each.type.startswith("aws:")
    ]
    assert len(mine) > 40
    for each in mine:
        if "tags" in each.inputs:
            assert {"stack", "tier", "owner", "cost-center", "Name"} <= each.inputs["tags"].keys(), each.urn
    assert not [each for each in mine if each.parent.endswith("Stack::slipway-dev")]


def test_a_child_can_be_transformed() -> None:
    """What the config does not offer, Pulumi's own transforms reach."""

    def larger(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if args.type_ != "aws:rds/instance:Instance":
            return None
        return pulumi.ResourceTransformResult({**args.props, "dedicatedLogVolume": True}, args.opts)

    def program() -> None:
        key = Key("key", ctx=DEV, tier="security", purpose="stack")
        network = Network("network", NETWORK, ctx=DEV, key=key)
        opts = pulumi.ResourceOptions(transforms=[larger])
        DataTier("data", DataConfig(), ctx=DEV, network=network, key=key, opts=opts)

    assert run(program, mode="resolved").one("rds/instance:Instance").inputs["dedicatedLogVolume"] is True
