"""What is on record: logs, traces and figures that one resource decides for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from policies.control import Verdict, need, one
from policies.example import Example, example, res, to_json
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import UNKNOWN, UndecidedError, token, tokens, true
from policies.settings import Settings, in_production

_DATABASE: Final = token("rds/Instance")


@one(
    "SLP-OBS-001",
    "Load balancers log their requests",
    "medium",
    "observability",
    frameworks=maps("ELB.5", nag="ELB2", checkov="91"),
    rationale="Only the load balancer sees the requests that never reached a task.",
    remediation="set access_logs with a bucket and enabled",
    applies_to=tokens("lb/LoadBalancer"),
    bad=(
        example(it=res("lb/LoadBalancer", accessLogs={"bucket": "logs", "enabled": False})),
        example(it=res("lb/LoadBalancer", accessLogs={"bucket": "logs"})),
    ),
    good=(example(it=res("lb/LoadBalancer", accessLogs={"bucket": "logs", "enabled": True})),),
)
def balancer_logs(balancer: Node, _settings: Settings) -> Verdict:
    """A bucket alone turns nothing on."""
    return need(true(balancer.known("accessLogs.enabled")), "accessLogs.enabled is not on")


@one(
    "SLP-OBS-002",
    "Distributions log their requests",
    "medium",
    "observability",
    frameworks=maps("CloudFront.5", nag="CFR3", checkov="86"),
    rationale="What the edge answers from its cache is seen nowhere else.",
    remediation="set logging_config.bucket",
    applies_to=tokens("cloudfront/Distribution"),
    bad=(example(it=res("cloudfront/Distribution", enabled=True)),),
    good=(example(it=res("cloudfront/Distribution", loggingConfig={"bucket": "logs.s3.amazonaws.com"})),),
    presence=("loggingConfig", "loggingConfig.bucket"),
)
def distribution_logs(distribution: Node, _settings: Settings) -> Verdict:
    """The bucket is enough."""
    return need(distribution.given("loggingConfig.bucket"), "has no loggingConfig.bucket")


@one(
    "SLP-OBS-003",
    "Stages of APIs log and trace their requests",
    "medium",
    "observability",
    frameworks=maps("APIGateway.1 APIGateway.3 APIGateway.9", nag="APIG1", checkov="73 76"),
    rationale="An API without logs shows a caller's 403 and 429 to nobody.",
    remediation="set access_log_settings, and xray_tracing_enabled on a stage of a REST API",
    applies_to=tokens("apigateway/Stage", "apigatewayv2/Stage"),
    bad=(
        example(it=res("apigateway/Stage", xrayTracingEnabled=True)),
        example(
            it=res("apigateway/Stage", accessLogSettings={"destinationArn": "arn"}, xrayTracingEnabled=False)
        ),
        example(it=res("apigatewayv2/Stage", name="$default")),
    ),
    good=(
        example(
            it=res("apigateway/Stage", accessLogSettings={"destinationArn": "arn"}, xrayTracingEnabled=True)
        ),
        example(it=res("apigatewayv2/Stage", accessLogSettings={"destinationArn": "arn"})),
    ),
    presence=("accessLogSettings", "accessLogSettings.destinationArn"),
)
def api_logs(stage: Node, _settings: Settings) -> Verdict:
    """HTTP APIs know no X-Ray."""
    if not stage.given("accessLogSettings.destinationArn"):
        return need(condition=False, message="has no accessLogSettings")
    traced = stage.type != token("apigateway/Stage") or true(stage.known("xrayTracingEnabled"))
    return need(traced, "xrayTracingEnabled is not on")


@one(
    "SLP-OBS-004",
    "APIs do not log whole requests and answers",
    "medium",
    "observability",
    frameworks=maps(checkov="276"),
    rationale="Data tracing writes bodies and headers to the log: tokens, addresses and all.",
    remediation="leave data_trace_enabled off",
    links=("https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html",),
    applies_to=tokens("apigateway/MethodSettings", "apigatewayv2/Stage"),
    bad=(
        example(it=res("apigateway/MethodSettings", settings={"dataTraceEnabled": True})),
        example(it=res("apigatewayv2/Stage", defaultRouteSettings={"dataTraceEnabled": True})),
    ),
    good=(
        example(it=res("apigateway/MethodSettings", settings={"dataTraceEnabled": False})),
        example(it=res("apigatewayv2/Stage", defaultRouteSettings={"dataTraceEnabled": False})),
    ),
    absent="pass",
)
def no_bodies(node: Node, _settings: Settings) -> Verdict:
    """Off unless said."""
    key = "settings" if node.type == token("apigateway/MethodSettings") else "defaultRouteSettings"
    return need(not true(node.known(f"{key}.dataTraceEnabled")), f"{key}.dataTraceEnabled is on")


@one(
    "SLP-OBS-005",
    "Databases hand out their logs",
    "medium",
    "observability",
    frameworks=maps("RDS.9", checkov="129"),
    rationale="Slow queries, locks and failed logins are in the database's own log, which goes with it.",
    remediation="set enabled_cloudwatch_logs_exports to ['postgresql', 'upgrade']",
    applies_to=(_DATABASE,),
    bad=(example(it=res("rds/Instance", engine="postgres", enabledCloudwatchLogsExports=[])),),
    good=(example(it=res("rds/Instance", engine="postgres", enabledCloudwatchLogsExports=["postgresql"])),),
    presence=("enabledCloudwatchLogsExports",),
)
def database_logs(database: Node, _settings: Settings) -> Verdict:
    """Which logs there are depends on the engine."""
    return need(database.given("enabledCloudwatchLogsExports"), "has no enabledCloudwatchLogsExports")


@one(
    "SLP-OBS-006",
    "In production, databases show what they are busy with",
    "medium",
    "observability",
    frameworks=maps("RDS.6 RDS.36", checkov="118 353"),
    rationale="The graphs of a slow quarter of an hour exist only when they were recorded.",
    remediation="set monitoring_interval to 60 or less, and performance_insights_enabled",
    applies_to=(_DATABASE,),
    bad=(
        example(it=res("rds/Instance", monitoringInterval=0, performanceInsightsEnabled=True)),
        example(it=res("rds/Instance", monitoringInterval=60, performanceInsightsEnabled=False)),
        example(it=res("rds/Instance", monitoringInterval=60)),
    ),
    good=(example(it=res("rds/Instance", monitoringInterval=60, performanceInsightsEnabled=True)),),
)
def database_figures(database: Node, settings: Settings) -> Verdict | None:
    """Both cost a little: not for a stack without users."""
    if not in_production(settings):
        return None
    if database.known("monitoringInterval", 0) in (0, "0"):
        return need(condition=False, message="monitoringInterval is 0")
    return need(true(database.known("performanceInsightsEnabled")), "performanceInsightsEnabled is not on")


def _insights(value: str) -> Example:
    return example(it=res("ecs/Cluster", settings=[{"name": "containerInsights", "value": value}]))


@one(
    "SLP-OBS-007",
    "Clusters record the figures of their tasks",
    "medium",
    "observability",
    frameworks=maps("ECS.12", nag="ECS4", checkov="65"),
    rationale="Without Container Insights memory, network and restarts of a task are seen by nobody.",
    remediation="set settings=[{'name': 'containerInsights', 'value': 'enabled'}]",
    applies_to=tokens("ecs/Cluster"),
    bad=(_insights("disabled"), example(it=res("ecs/Cluster", name="main"))),
    good=(_insights("enabled"), _insights("enhanced")),
)
def cluster_figures(cluster: Node, _settings: Settings) -> Verdict:
    """`enhanced` records each task and container."""
    insights = [each for each in cluster.blocks("settings") if each.known("name") == "containerInsights"]
    on = any(each.known("value") in ("enabled", "enhanced") for each in insights)
    return need(on, "containerInsights is not on")


def _task(*containers: dict[str, Any]) -> Example:
    return example(it=res("ecs/TaskDefinition", family="api", containerDefinitions=to_json(list(containers))))


@one(
    "SLP-OBS-008",
    "Containers log somewhere",
    "medium",
    "observability",
    frameworks=maps("ECS.9", nag="ECS7"),
    rationale="On Fargate there is no disk to look at: what is not sent away is never seen.",
    remediation="give each container a logConfiguration",
    applies_to=tokens("ecs/TaskDefinition"),
    bad=(
        _task({"name": "api"}),
        _task({"name": "api", "logConfiguration": {"logDriver": "awslogs"}}, {"name": "sidecar"}),
        _task({"name": "api", "logConfiguration": {"logDriver": ""}}),
    ),
    good=(_task({"name": "api", "logConfiguration": {"logDriver": "awslogs"}}),),
)
def container_logs(task: Node, _settings: Settings) -> Verdict:
    """Every container, side cars too."""
    text = task.known("containerDefinitions", "[]")
    try:
        document: Any = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return need(condition=False, message="containerDefinitions is not JSON")
    containers = cast("list[Any]", document) if isinstance(document, list) else []
    if UNKNOWN in containers:
        raise UndecidedError("containerDefinitions")
    silent = [each for each in containers if not _logs(each)]
    return need(bool(containers) and not silent, "a container has no logConfiguration")


def _logs(container: object) -> bool:
    """Whether a container definition names a log driver."""
    if not isinstance(container, Mapping):
        return False
    config: Any = cast("Mapping[str, Any]", container).get("logConfiguration")
    return isinstance(config, Mapping) and bool(cast("Mapping[str, Any]", config).get("logDriver"))


@one(
    "SLP-OBS-009",
    "Functions are traced",
    "medium",
    "observability",
    frameworks=maps("Lambda.7", checkov="50"),
    rationale="A trace tells a cold start from a slow database.",
    remediation="set tracing_config.mode to Active",
    applies_to=tokens("lambda/Function"),
    bad=(
        example(it=res("lambda/Function", name="report", tracingConfig={"mode": "PassThrough"})),
        example(it=res("lambda/Function", name="report")),
    ),
    good=(example(it=res("lambda/Function", name="report", tracingConfig={"mode": "Active"})),),
)
def traced(function: Node, _settings: Settings) -> Verdict:
    """PassThrough only follows a trace that a caller began."""
    return need(function.known("tracingConfig.mode") == "Active", "tracingConfig.mode is not Active")


@one(
    "SLP-OBS-010",
    "Logs end some day",
    "medium",
    "observability",
    frameworks=maps("CloudWatch.16", checkov="66"),
    rationale="CloudWatch keeps logs for ever unless told otherwise, and charges for each month.",
    remediation="set retention_in_days",
    applies_to=tokens("cloudwatch/LogGroup"),
    bad=(
        example(it=res("cloudwatch/LogGroup", name="/api")),
        example(it=res("cloudwatch/LogGroup", name="/api", retentionInDays=0)),
    ),
    good=(example(it=res("cloudwatch/LogGroup", name="/api", retentionInDays=30)),),
)
def logs_end(group: Node, _settings: Settings) -> Verdict:
    """0 is for ever. How long is enough is for the law to say."""
    return need(group.known("retentionInDays", 0) not in (0, "0"), "retentionInDays is not set")


def _trail(**given: Any) -> Example:
    inputs = {
        "isMultiRegionTrail": True,
        "enableLogFileValidation": True,
        "cloudWatchLogsGroupArn": "arn:aws:logs:us-east-1:111111111111:log-group:/trail:*",
        **given,
    }
    return example(it=res("cloudtrail/Trail", s3BucketName="trail", **inputs))


@one(
    "SLP-OBS-011",
    "Trails record all regions, can be trusted, and are read",
    "high",
    "observability",
    frameworks=maps("CloudTrail.1 CloudTrail.4 CloudTrail.5", cis="3.1 3.2", checkov="36 67 2-10"),
    rationale="An intruder works in the region that nobody looks at, and deletes what shows it.",
    remediation="set is_multi_region_trail, enable_log_file_validation and cloud_watch_logs_group_arn",
    applies_to=tokens("cloudtrail/Trail"),
    bad=(
        _trail(isMultiRegionTrail=False),
        _trail(enableLogFileValidation=False),
        _trail(cloudWatchLogsGroupArn=""),
    ),
    good=(_trail(),),
    presence=("cloudWatchLogsGroupArn",),
)
def trails(trail: Node, _settings: Settings) -> Verdict:
    """None of the three is on unless said."""
    off = [key for key in ("isMultiRegionTrail", "enableLogFileValidation") if not true(trail.known(key))]
    if off:
        return need(condition=False, message=f"{' and '.join(off)} is not on")
    return need(trail.given("cloudWatchLogsGroupArn"), "has no cloudWatchLogsGroupArn")


@one(
    "SLP-OBS-012",
    "Alarms tell somebody",
    "medium",
    "observability",
    frameworks=maps("CloudWatch.15 CloudWatch.17", checkov="319"),
    rationale="An alarm without an action is red in a console that nobody has open.",
    remediation="set alarm_actions to a topic, and leave actions_enabled on",
    applies_to=tokens("cloudwatch/MetricAlarm", "cloudwatch/CompositeAlarm"),
    bad=(
        example(it=res("cloudwatch/MetricAlarm", name="errors", alarmActions=[])),
        example(it=res("cloudwatch/MetricAlarm", name="errors", alarmActions=["arn"], actionsEnabled=False)),
        example(it=res("cloudwatch/CompositeAlarm", alarmName="down")),
    ),
    good=(
        example(
            people=res("sns/Topic", name="alarms"),
            it=res("cloudwatch/MetricAlarm", name="errors", alarmActions=["${people.arn}"]),
        ),
    ),
    presence=("alarmActions",),
)
def alarms_tell(alarm: Node, _settings: Settings) -> Verdict:
    """An alarm that only another one reads is that one's business: waive it."""
    if not true(alarm.known("actionsEnabled", default=True)):
        return need(condition=False, message="actionsEnabled is off")
    return need(alarm.given("alarmActions"), "has no alarmActions")


CONTROLS = (
    balancer_logs,
    distribution_logs,
    api_logs,
    no_bodies,
    database_logs,
    database_figures,
    cluster_figures,
    container_logs,
    traced,
    logs_end,
    trails,
    alarms_tell,
)
