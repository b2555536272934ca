"""What is on record, as another resource decides: logs of web ACLs, buckets and zones, alarms, detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, need, undecided, whole
from policies.controls.encryption_relations import takes_logs
from policies.example import Example, Resource, example, res, to_json
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import UNKNOWN, token, true
from policies.settings import Settings, in_production

_ACL: Final = token("wafv2/WebAcl")
_BUCKET: Final = token("s3/Bucket")
_ZONE: Final = token("route53/Zone")
_ALARM: Final = token("cloudwatch/MetricAlarm")
_QUEUE: Final = token("sqs/Queue")
_DETECTOR: Final = token("guardduty/Detector")


def _owned(graph: Graph, node: Node, type_: str, key: str, words: str) -> Verdict:
    """Whether another resource names this one."""
    if graph.about(node, type_, key):
        return PASS
    strays = graph.strays(type_, key)
    return undecided(f"what {strays[0].label} is of is not known", path=[node]) if strays else fail(words)


def _acl_logged(arn: str) -> Example:
    return example(
        it=res("wafv2/WebAcl", scope="REGIONAL"),
        other=res("wafv2/WebAcl", scope="REGIONAL"),
        log=res("wafv2/WebAclLoggingConfiguration", resourceArn=arn, logDestinationConfigs=["arn"]),
    )


@whole(
    "SLP-OBS-101",
    "Web ACLs log what they see",
    "medium",
    "observability",
    frameworks=maps("WAF.11", checkov="2-31"),
    rationale="Whether a rule stops attackers or customers is decided by reading what it stopped.",
    remediation="add aws.wafv2.WebAclLoggingConfiguration(resource_arn=…, log_destination_configs=[…])",
    applies_to=(_ACL,),
    bad=(_acl_logged("${other.arn}"), example(it=res("wafv2/WebAcl", scope="REGIONAL"))),
    good=(_acl_logged("${it.arn}"),),
)
def acl_logs(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk web ACL ← logging configuration."""
    kind = token("wafv2/WebAclLoggingConfiguration")
    words = "has no logging configuration"
    return each(graph.of_type(_ACL), lambda acl: _owned(graph, acl, kind, "resourceArn", words))


def _bucket_logged(bucket: str) -> Example:
    return example(
        it=res("s3/Bucket", bucket="photos"),
        other=res("s3/Bucket", bucket="scratch"),
        log=res("s3/BucketLogging", bucket=bucket, targetBucket="logs", targetPrefix="photos/"),
    )


@whole(
    "SLP-OBS-102",
    "Buckets log who reads them",
    "medium",
    "observability",
    frameworks=maps("S3.9", nag="S1", checkov="18"),
    rationale="After a leak the question is which objects were read, and by whom.",
    remediation="add aws.s3.BucketLogging with a bucket for logs as its target",
    applies_to=(_BUCKET,),
    bad=(_bucket_logged("${other.bucket}"), example(it=res("s3/Bucket", bucket="photos"))),
    good=(
        _bucket_logged("${it.bucket}"),
        example(
            it=res("s3/Bucket", bucket="logs"),
            log=res("s3/BucketLogging", bucket="photos", targetBucket="${it.bucket}", targetPrefix="s3/"),
        ),
        example(
            it=res("s3/Bucket", bucket="logs"),
            front=res("lb/LoadBalancer", accessLogs={"bucket": "${it.bucket}"}),
        ),
    ),
)
def bucket_logs(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A bucket that takes logs would log its own writing."""
    kind = token("s3/BucketLogging")

    def judge(bucket: Node) -> Verdict:
        if takes_logs(graph, bucket):
            return PASS
        return _owned(graph, bucket, kind, "bucket", "does not log who reads it")

    return each(graph.of_type(_BUCKET), judge)


@whole(
    "SLP-OBS-103",
    "Public zones log their queries",
    "low",
    "observability",
    frameworks=maps("Route53.2", checkov="2-39"),
    rationale="Queries for names that never were are how a takeover of a subdomain is prepared.",
    remediation="add aws.route53.QueryLog(zone_id=…, cloudwatch_log_group_arn=…)",
    applies_to=(_ZONE,),
    bad=(
        example(it=res("route53/Zone", name="example.com")),
        example(
            it=res("route53/Zone", name="example.com"),
            log=res("route53/QueryLog", zoneId="another", cloudwatchLogGroupArn="arn"),
        ),
    ),
    good=(
        example(
            it=res("route53/Zone", name="example.com"),
            log=res("route53/QueryLog", zoneId="${it.zoneId}", cloudwatchLogGroupArn="arn"),
        ),
        example(it=res("route53/Zone", name="internal", vpcs=[{"vpcId": "vpc-1"}])),
    ),
    presence=("vpcs",),
)
def zone_logs(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A zone with VPCs is private."""
    kind = token("route53/QueryLog")

    def judge(zone: Node) -> Verdict:
        return PASS if zone.given("vpcs") else _owned(graph, zone, kind, "zoneId", "has no query log")

    return each(graph.of_type(_ZONE), judge)


# what is watched, and the dimensions that name it
_WATCHED: Final[Mapping[str, tuple[str, ...]]] = {
    token("rds/Instance"): ("DBInstanceIdentifier",),
    token("lb/LoadBalancer"): ("LoadBalancer",),
    token("elasticache/ReplicationGroup"): ("ReplicationGroupId", "CacheClusterId"),
    _QUEUE: ("QueueName",),
}


def _watched(type_: str, dimension: str, value: str, **given: Any) -> Example:
    """A resource, and an alarm on a dimension."""
    return example(it=res(type_, **given), alarm=_alarm(dimension, value))


def _alarm(dimension: str, value: str) -> Resource:
    return res("cloudwatch/MetricAlarm", dimensions={dimension: value}, alarmActions=["arn"])


def _failures(alarm: Resource | None = None) -> Example:
    """A queue whose failures go to another, which is judged."""
    source = res("sqs/Queue", name="jobs", redrivePolicy=to_json({"deadLetterTargetArn": "${it.arn}"}))
    more = {} if alarm is None else {"alarm": alarm}
    return example(it=res("sqs/Queue", name="jobs-dead"), jobs=source, **more)


@whole(
    "SLP-OBS-104",
    "In production, an alarm watches each database, cache, load balancer and dead-letter queue",
    "medium",
    "observability",
    rationale="A full disk, a queue of failures, a rising error rate should wake somebody before users do.",
    remediation="add aws.cloudwatch.MetricAlarm whose dimensions name it",
    links=("https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html",),
    applies_to=tuple(_WATCHED),
    bad=(
        _failures(),
        _watched("rds/Instance", "DBInstanceIdentifier", "another", identifier="main"),
        _watched("lb/LoadBalancer", "TargetGroup", "api", name="front"),
        example(it=res("elasticache/ReplicationGroup", replicationGroupId="main")),
    ),
    good=(
        _failures(_alarm("QueueName", "${it.name}")),
        _watched("rds/Instance", "DBInstanceIdentifier", "main", identifier="main"),
        _watched("lb/LoadBalancer", "LoadBalancer", "${it.arnSuffix}", name="front"),
        _watched("elasticache/ReplicationGroup", "CacheClusterId", "main-001", replicationGroupId="main"),
        example(it=res("sqs/Queue", name="jobs")),
    ),
    absent="pass",
)
def alarms(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk resource ← alarm; a queue is a dead-letter queue when another one says so."""
    found = graph.of_type(_ALARM)
    strays = [alarm for alarm in found if _hidden(alarm)]

    def judge(node: Node) -> Verdict:
        if any(_watches(alarm, node) for alarm in found):
            return PASS
        if node.type == _QUEUE and not _takes_failures(graph, node):
            senders = graph.strays(_QUEUE, "redrivePolicy")
            return undecided(f"where {senders[0].label} sends failures is not known") if senders else PASS
        if strays:
            return undecided(f"what {strays[0].label} watches is not known")
        return fail("no alarm watches it")

    return each(graph.of_type(*_WATCHED) if in_production(settings) else (), judge)


def _watches(alarm: Node, node: Node) -> bool:
    traced = node in alarm.deps.get("dimensions", ())
    for dimension in _WATCHED[node.type]:
        value = alarm.get(f"dimensions.{dimension}")
        if value is UNKNOWN and traced:
            return True
        # the nodes of a cache are named after it: main-001
        names = node.names if isinstance(value, str) else frozenset[str]()
        if any(str(value) == name or str(value).startswith(f"{name}-0") for name in names):
            return True
    return False


def _hidden(alarm: Node) -> bool:
    """Whether an alarm may be about anything: its dimensions are not known and lead nowhere."""
    dimensions = alarm.get("dimensions")
    values = cast("Mapping[str, Any]", dimensions).values() if isinstance(dimensions, Mapping) else ()
    return not alarm.deps.get("dimensions") and (dimensions is UNKNOWN or UNKNOWN in values)


def _takes_failures(graph: Graph, queue: Node) -> bool:
    users = graph.users(queue, _QUEUE, token("sqs/RedrivePolicy"))
    return any(key == "redrivePolicy" for _, key in users)


# an account's detectors
_DETECTORS: Final[Mapping[str, str]] = {
    "CloudTrail": token("cloudtrail/Trail"),
    "Inspector": token("inspector2/Enabler"),
    "Config": token("cfg/RecorderStatus"),
    "Security Hub": token("securityhub/StandardsSubscription"),
}


def _account(*left_out: str, **changed: Resource) -> Example:
    every = {
        "it": res("guardduty/Detector", enable=True),
        "trail": res("cloudtrail/Trail", s3BucketName="trail"),
        "scans": res("inspector2/Enabler", accountIds=["111111111111"], resourceTypes=["ECR"]),
        "recorder": res("cfg/RecorderStatus", isEnabled=True),
        "standards": res("securityhub/StandardsSubscription", standardsArn="arn"),
        **changed,
    }
    return {name: resource for name, resource in every.items() if name not in left_out}


@whole(
    "SLP-OBS-105",
    "A program that sets up one of an account's detectors sets up all of them",
    "high",
    "observability",
    frameworks=maps("CloudTrail.1 GuardDuty.1 Inspector.1 Inspector.2 Config.1", checkov="238 2-45"),
    rationale="Each of them sees what the others do not: calls, traffic, old libraries, drift.",
    remediation="add cloudtrail.Trail, inspector2.Enabler, cfg.RecorderStatus, StandardsSubscription",
    applies_to=(_DETECTOR,),
    bad=(
        _account("trail"),
        _account("scans"),
        _account("recorder"),
        _account("standards"),
        _account(recorder=res("cfg/RecorderStatus", isEnabled=False)),
        _account(it=res("guardduty/Detector", enable=False)),
    ),
    good=(_account(),),
)
def detectors(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """They belong to an account, not to a stack: only a program with a GuardDuty detector is judged."""

    def judge(detector: Node) -> Verdict:
        if not true(detector.known("enable", default=True)):
            return fail("enable is off")
        missing = [name for name, type_ in _DETECTORS.items() if not graph.of_type(type_)]
        recorders = graph.of_type(_DETECTORS["Config"])
        if not all(true(status.known("isEnabled")) for status in recorders):
            missing.append("running recorder of Config")
        return need(not missing, f"the account has no {', no '.join(missing)}")

    return each(graph.of_type(_DETECTOR), judge)


_FEATURES: Final = ("S3_DATA_EVENTS", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS", "RUNTIME_MONITORING")


def _looking(*names: str, status: str = "ENABLED") -> Example:
    features = {
        f"feature{index}": res("guardduty/DetectorFeature", detectorId="${it.id}", name=name, status=status)
        for index, name in enumerate(names)
    }
    return example(it=res("guardduty/Detector", enable=True), **features)


@whole(
    "SLP-OBS-106",
    "GuardDuty looks at buckets, databases, functions and running tasks",
    "medium",
    "observability",
    frameworks=maps("GuardDuty.6 GuardDuty.9 GuardDuty.10 GuardDuty.11"),
    rationale="A detector alone reads the network and the calls; not what is read out of a bucket.",
    remediation="add an aws.guardduty.DetectorFeature with status ENABLED for each",
    applies_to=(_DETECTOR,),
    bad=(_looking(*_FEATURES[:3]), _looking(*_FEATURES, status="DISABLED"), _looking()),
    good=(_looking(*_FEATURES),),
)
def features(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Walk detector ← features."""
    kind = token("guardduty/DetectorFeature")

    def judge(detector: Node) -> Verdict:
        found = graph.about(detector, kind, "detectorId")
        on = {str(node.known("name")) for node in found if node.known("status") == "ENABLED"}
        missing = [name for name in _FEATURES if name not in on]
        strays = graph.strays(kind, "detectorId") if missing else []
        if strays:
            return undecided(f"which detector {strays[0].label} is of is not known")
        return need(not missing, f"looks at no {', '.join(missing)}")

    return each(graph.of_type(_DETECTOR), judge)


CONTROLS = (acl_logs, bucket_logs, zone_logs, alarms, detectors, features)
