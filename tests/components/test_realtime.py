"""The realtime tier: one door, three services with what they linked, migrated first, drained as a whole."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import pytest

from apps.api.settings import ApiSettings
from apps.contracts import metrics as catalogue
from apps.filter_processor.settings import FilterProcessorSettings
from apps.migrations.settings import MigrationsSettings
from apps.realtime.settings import RealtimeSettings
from components import contract
from components.base import Context
from components.contract import AppContractError
from components.data.component import DataTier
from components.data.config import DataConfig
from components.key import Key
from components.network.component import Network
from components.network.config import NetworkConfig
from components.realtime import component as tier_module
from components.realtime.component import RealtimeTier
from components.realtime.config import RealtimeConfig
from components.service.image import Image
from tests.components.support import CTX, MODES, UNKNOWN, Program, Registration, document, run

DEV = CTX
PROD = replace(CTX, stack="prod", lifecycle="retained", availability="ha")
IMAGE = Image(uri="111111111111.dkr.ecr.us-east-1.amazonaws.com/apps:abc123")
CERTIFICATE = "arn:aws:acm:us-east-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef"
AUTH = {
    "issuer": "https://login.example.com",
    "audience": "slipway",
    "jwks_url": "https://login.example.com/jwks.json",
}
ZONE = {"name": "map.example.com", "zone": "Z0123456789ABCDEFGHIJ"}
SERVICES = {
    "api": ApiSettings,
    "websocket": RealtimeSettings,
    "filter-processor": FilterProcessorSettings,
    "migrations": MigrationsSettings,
}


def build(ctx: Context = DEV, mode: str = "preview", **config: Any) -> Program:
    """The registrations of network, data and realtime tier."""
    return cached(ctx, mode, json.dumps({"domain": ZONE, "auth": AUTH, **config}, sort_keys=True))


@functools.cache
def cached(ctx: Context, mode: str, config: str) -> Program:
    """One run for all tests that look at the same registrations."""

    def program() -> None:
        key = Key("key", ctx=ctx, tier="security", purpose="stack", services=("logs", "cloudwatch"))
        network = Network("network", NetworkConfig(zones=("a", "b")), ctx=ctx, key=key)
        data = DataTier("data", DataConfig(), ctx=ctx, network=network, key=key)
        RealtimeTier(
            "realtime",
            RealtimeConfig.model_validate_json(config),
            ctx=ctx,
            network=network,
            data=data,
            image=IMAGE,
            key=key,
        )

    return run(program, stack=ctx.stack, mode=mode)


def container(program: Program, name: str) -> dict[str, Any]:
    """The one container of a task definition."""
    definitions = program.one("TaskDefinition", name).inputs["containerDefinitions"]
    assert isinstance(definitions, str)
    assert definitions != UNKNOWN
    (only,) = json.loads(definitions)
    return only


def names(registration: Registration, key: str) -> set[str]:
    """The logical names of the resources an input comes from."""
    return {urn.rsplit("::", maxsplit=1)[-1] for urn in registration.depends(key)}


@pytest.mark.parametrize("ctx", [DEV, PROD], ids=["dev", "prod"])
@pytest.mark.parametrize("mode", MODES)
def test_every_document_is_known_json(ctx: Context, mode: str) -> None:
    """Task definitions and policies are decidable before anything exists, in both stacks."""
    program = build(ctx, mode)
    assert {each.name for each in program.of("TaskDefinition")} == SERVICES.keys()
    for name in SERVICES:
        assert container(program, name)["image"] == IMAGE.uri
    documents = [
        document(each.inputs[key])
        for each in program.resources
        for key in ("policy", "assumeRolePolicy")
        if key in each.inputs
    ]
    assert len(documents) > 20


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_environment_fits_the_app(name: str) -> None:
    """Each container gets every variable its app requires, none it does not read, secrets by reference."""
    definition = container(build(), name)
    literals = {each["name"] for each in definition["environment"]}
    secrets = {each["name"]: each["valueFrom"] for each in definition["secrets"]}
    contract.check(SERVICES[name], service=name, literals=literals, secrets=secrets)
    assert contract.secret_variables(SERVICES[name]) & (literals | secrets.keys()) <= secrets.keys()
    assert all(arn.startswith("arn:aws:ssm:us-east-1:111111111111:parameter/") for arn in secrets.values())


def test_only_migrations_know_the_admin_secret() -> None:
    """The master secret's ARN, and the right to read it, belong to the one-off task alone."""
    program = build()
    holders = {
        name
        for name in SERVICES
        if "DATABASE_ADMIN_SECRET_ARN" in {each["name"] for each in container(program, name)["secrets"]}
    }
    readers = {
        each.name
        for each in program.of("RolePolicy")
        if "secretsmanager:GetSecretValue" in each.inputs["policy"]
    }
    assert holders == {"migrations"}
    assert len(readers) == 1
    assert all("migrations" in name for name in readers)


def test_a_variable_nobody_reads_fails_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that no longer reads a variable fails at composition, with the variable's name."""
    monkeypatch.setattr(tier_module, "RealtimeSettings", FilterProcessorSettings)
    with pytest.raises(AppContractError, match="stray: AUTH_ISSUER"):
        build(waf={"requests_per_5_minutes": 500})


def test_services_wait_for_the_migration() -> None:
    """No service rolls onto a database that is not migrated."""
    program = build()
    done = program.one("lambda/invocation:Invocation").urn
    services = program.of("ecs/service:Service")
    assert {each.name for each in services} == SERVICES.keys() - {"migrations"}
    assert all(done in each.request.dependencies for each in services)


def test_only_the_balancer_is_in_public_subnets() -> None:
    """Services and the migration run in private subnets without a public address."""
    program = build()
    balancer = balancer_of(program)
    assert {each for each in names(balancer, "subnets") if "-public-" in each} == {
        "network-public-a",
        "network-public-b",
    }
    for service in program.of("ecs/service:Service"):
        subnets = {each for each in names(service, "networkConfiguration") if each.startswith("network-")}
        assert subnets == {"network-private-a", "network-private-b"}
        assert service.inputs["networkConfiguration"]["assignPublicIp"] is False


def balancer_of(program: Program) -> Registration:
    """The load balancer itself, not the component around it."""
    return program.one("aws:lb/loadBalancer:LoadBalancer")


def test_doors() -> None:
    """The world reaches the balancer on 80 and 443; everything else is opened from group to group."""
    program = build()
    world = {
        (each.inputs["fromPort"], *names(each, "securityGroupId"))
        for each in program.of("SecurityGroupIngressRule")
        if "cidrIpv4" in each.inputs and each.name.startswith("realtime")
    }
    assert world == {(80, "realtime"), (443, "realtime")}
    edges = {
        (min(names(each, "referencedSecurityGroupId")), min(names(each, "securityGroupId")))
        for each in program.of("SecurityGroupIngressRule")
        if "referencedSecurityGroupId" in each.inputs
    }
    stores = {
        (service, store)
        for service in ("api", "websocket", "filter-processor")
        for store in ("database", "cache")
    }
    assert edges == stores | {
        ("realtime", "api"),
        ("realtime", "websocket"),
        ("migrations", "database"),
    }


def test_the_ways_out_outlive_what_needs_them() -> None:
    """Balancer, services and migrations come after every route and go before it: no race with the gateway."""
    program = build()
    routes = {each.urn for each in program.of("ec2/route:Route")}
    assert len(routes) == 4
    waiting = [balancer_of(program), program.one("Invocation"), *program.of("ecs/service:Service")]
    assert len(waiting) == 5
    for each in waiting:
        assert routes <= set(each.request.dependencies), each.urn


def test_a_database_failover_costs_no_task() -> None:
    """RDS takes up to 120 s to fail over, and /ready says so meanwhile: the balancer is more patient."""
    for group in build().of("TargetGroup"):
        check = group.inputs["healthCheck"]
        assert check["path"] == "/ready"
        assert check["interval"] * check["unhealthyThreshold"] > 120


@pytest.mark.parametrize("ctx", [DEV, PROD], ids=["dev", "prod"])
def test_balancer(ctx: Context) -> None:
    """Public, logged, strict about headers; only a retained one refuses to be deleted."""
    inputs = balancer_of(build(ctx)).inputs
    assert inputs["internal"] is False
    assert inputs["dropInvalidHeaderFields"] is True
    assert inputs["desyncMitigationMode"] == "defensive"
    assert inputs["enableDeletionProtection"] is ctx.retained
    assert inputs["accessLogs"] == {
        "bucket": f"slipway-{ctx.stack}-logs-111111111111-us-east-1",
        "prefix": "alb",
        "enabled": True,
    }
    assert len(inputs["name"]) <= 32


def test_listeners() -> None:
    """HTTPS with a TLS 1.3 policy serves; HTTP only redirects; `/ws` and `/events` go to the gateway, the rest to the API."""
    program = build()
    https = program.one("lb/listener:Listener", "realtime-https")
    http = program.one("lb/listener:Listener", "realtime-http")
    rule = program.one("ListenerRule")
    assert https.inputs["protocol"] == "HTTPS"
    assert "TLS13" in https.inputs["sslPolicy"]
    assert "api" in names(https, "defaultActions")
    (redirect,) = http.inputs["defaultActions"]
    assert redirect["redirect"] == {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}
    assert rule.inputs["conditions"] == [{"pathPattern": {"values": ["/ws", "/events"]}}]
    assert "websocket" in names(rule, "actions")


DRAIN = {"ping_interval_seconds": 40, "drain_seconds": 50, "margin_seconds": 10, "linger_seconds": 7}


def variables(program: Program, name: str) -> dict[str, str]:
    """The environment of a service's container."""
    return {each["name"]: each["value"] for each in container(program, name)["environment"]}


def test_idle_timeout_is_of_the_drain_config() -> None:
    """The balancer cuts a silent connection only after two pings were missed, and before the app would."""
    program = build(drain=DRAIN)
    idle = balancer_of(program).inputs["idleTimeout"]
    assert idle == 2 * 40 + 10
    assert variables(program, "websocket")["PING_INTERVAL_SECONDS"] == "40"
    for name in ("api", "websocket"):
        assert float(variables(program, name)["KEEP_ALIVE_SECONDS"]) > idle


def test_deregistration_delay_is_of_the_drain_config() -> None:
    """A target that leaves keeps its connections until all close frames are sent, in both target groups."""
    program = build(drain=DRAIN)
    assert {each.inputs["deregistrationDelay"] for each in program.of("TargetGroup")} == {50 + 10}
    assert variables(program, "websocket")["DRAIN_SECONDS"] == "50"


def test_stop_timeout_is_of_the_drain_config() -> None:
    """ECS kills a container only after the app's own hard deadline, which is after the drain."""
    program = build(drain=DRAIN)
    for name in ("api", "websocket", "filter-processor"):
        assert container(program, name)["stopTimeout"] == 50 + 2 * 10
        assert variables(program, name)["SHUTDOWN_SECONDS"] == "60"


def test_linger_is_for_who_stands_behind_the_balancer() -> None:
    """They answer on after SIGTERM, as the balancer may still route to them; the processor need not."""
    program = build(drain=DRAIN)
    assert variables(program, "api")["LINGER_SECONDS"] == "7"
    assert variables(program, "websocket")["LINGER_SECONDS"] == "7"
    assert "LINGER_SECONDS" not in variables(program, "filter-processor")


def test_delete_timeout_is_of_the_drain_config() -> None:
    """Pulumi waits for a service's end as long as two deployments may drain, and ten minutes."""
    program = build(drain=DRAIN)
    services = program.of("ecs/service:Service")
    assert len(services) == 3
    for each in services:
        assert each.request.customTimeouts.delete == f"{2 * (60 + 70) + 600}s"


def test_target_groups() -> None:
    """Tasks are targets by address and must answer /ready; only websockets stick."""
    groups = {
        each.name: each.inputs for each in build(websocket={"stickiness_seconds": 300}).of("TargetGroup")
    }
    assert groups.keys() == {"api", "websocket"}
    for inputs in groups.values():
        assert inputs["targetType"] == "ip"
        assert inputs["healthCheck"]["path"] == "/ready"
        assert "name" not in inputs  # Pulumi names it, so that a replacement can stand beside it
    assert groups["websocket"]["stickiness"] == {"type": "lb_cookie", "enabled": True, "cookieDuration": 300}
    assert groups["api"]["stickiness"]["enabled"] is False


def test_scaling() -> None:
    """Each service scales on CPU and on what it does; the scaler owns the number of tasks."""
    program = build(mode="resolved")
    reasons: dict[str, set[str]] = {}
    for policy in program.of("appautoscaling/policy:Policy"):
        tracking = policy.inputs["targetTrackingScalingPolicyConfiguration"]
        predefined = tracking.get("predefinedMetricSpecification", {})
        custom = tracking.get("customizedMetricSpecification", {})
        service = policy.parent.rsplit("::", maxsplit=1)[-1]
        reasons.setdefault(service, set()).add(predefined.get("predefinedMetricType") or custom["metricName"])
        if custom:
            dimensions = {each["name"]: each["value"] for each in custom["dimensions"]}
            assert dimensions == {"Stack": "dev", "Service": service}
    cpu = "ECSServiceAverageCPUUtilization"
    assert reasons == {
        "api": {cpu, "ALBRequestCountPerTarget"},
        "websocket": {cpu, "ActiveConnectionsPerTask", "OutgoingMessagesPerSecond"},
        "filter-processor": {cpu, "ProcessedUpdatesPerSecond"},
    }
    label = program.one("appautoscaling/policy:Policy", "api-requests").inputs[
        "targetTrackingScalingPolicyConfiguration"
    ]["predefinedMetricSpecification"]["resourceLabel"]
    assert label == "app/realtime/0123456789abcdef/targetgroup/api/0123456789abcdef"
    assert all("desiredCount" in each.request.ignoreChanges for each in program.of("ecs/service:Service"))


def test_the_scaler_reads_what_the_app_reports() -> None:
    """Every custom metric of a scaling policy is in the catalogue of its service, which its app must report."""
    read = 0
    for policy in build(mode="resolved").of("appautoscaling/policy:Policy"):
        custom = policy.inputs["targetTrackingScalingPolicyConfiguration"].get(
            "customizedMetricSpecification"
        )
        if custom:
            read += 1
            service = policy.parent.rsplit("::", maxsplit=1)[-1]
            assert custom["metricName"] in {metric.name for metric in catalogue.SERVICES[service]}
            assert custom["namespace"] == catalogue.NAMESPACE
    assert read == 3


def test_what_a_view_takes_in_is_told_to_both_sides() -> None:
    """One rule per kind reaches gateway and filter processor in the same words, with the viewports' lifetime."""
    kinds = {"truck": {"min_zoom": 9, "margin_fraction": 0.1}, "*": {"margin_degrees": 0.5}}
    program = build(
        views={"kinds": kinds, "ttl_seconds": 60},
        presence={"enabled": False, "seconds": 2},
        websocket={
            "tick_milliseconds": 0,
            "connections_per_task": 20_000,
            "connections_per_second": 90,
            "connection_burst": 200_000,
        },
        filter_processor={"max_affected": 700, "tick_milliseconds": 20, "stream_batch": 100},
    )
    told = {
        name: {each["name"]: each["value"] for each in container(program, name)["environment"]}
        for name in ("websocket", "filter-processor")
    }
    assert told["websocket"]["KIND_RULES"] == told["filter-processor"]["KIND_RULES"]
    assert json.loads(told["websocket"]["KIND_RULES"]) == kinds
    assert told["websocket"]["VIEWPORT_TTL_SECONDS"] == "60.0"
    names = ("PRESENCE_ENABLED", "PRESENCE_SECONDS", "PRESENCE_TTL_SECONDS")
    assert [told["websocket"][name] for name in names] == ["false", "2.0", "15.0"]
    names = ("TICK_MILLISECONDS", "CONNECTIONS_PER_SECOND", "CONNECTION_BURST", "MAX_CONNECTIONS")
    assert [told["websocket"][name] for name in names] == ["0", "90.0", "200000", "30000"]
    processor = told["filter-processor"]
    assert (processor["MAX_AFFECTED"], processor["TICK_MILLISECONDS"], processor["STREAM_BATCH"]) == (
        "700",
        "20",
        "100",
    )


def test_without_rules_of_kinds_no_variable_is_set() -> None:
    """The defaults of the apps hold."""
    for name in ("websocket", "filter-processor"):
        names = {each["name"] for each in container(build(), name)["environment"]}
        assert "KIND_RULES" not in names


@pytest.mark.parametrize(("ctx", "fewest"), [(DEV, 1), (PROD, 2)], ids=["pilot", "ha"])
def test_availability(ctx: Context, fewest: int) -> None:
    """Where one zone may fail there are two tasks from the start."""
    targets = build(ctx).of("appautoscaling/target:Target")
    assert len(targets) == 3
    assert {each.inputs["minCapacity"] for each in targets} == {fewest}


def test_domain_in_a_zone() -> None:
    """The certificate is issued by a DNS record, the listener waits for it, and the domain points here."""
    program = build(mode="resolved")
    certificate = program.one("acm/certificate:Certificate")
    assert certificate.inputs["domainName"] == "map.example.com"
    assert certificate.inputs["validationMethod"] == "DNS"
    listener = program.one("lb/listener:Listener", "realtime-https")
    assert any("CertificateValidation" in urn for urn in listener.depends("certificateArn"))
    validation = program.one("route53/record:Record", "realtime-validation").inputs
    assert (validation["name"], validation["type"]) == ("_x.map.example.com", "CNAME")
    assert validation["records"] == ["_y.acm.example.com"]
    alias = program.one("route53/record:Record", "realtime-alias").inputs
    assert alias["zoneId"] == ZONE["zone"]
    assert alias["aliases"][0]["evaluateTargetHealth"] is True


def test_domain_with_a_certificate() -> None:
    """A given certificate is used as it is: nothing is issued and no record is made."""
    program = build(domain={"name": "map.example.com", "certificate_arn": CERTIFICATE})
    listener = program.one("lb/listener:Listener", "realtime-https")
    assert listener.inputs["certificateArn"] == CERTIFICATE
    assert not program.of("route53/record:Record")
    assert not program.of("acm/certificate:Certificate")


def test_web_acl() -> None:
    """The balancer stands behind a rate per address and AWS's list of bad input; blocks are logged, tokens not."""
    program = build()
    rules = {each["name"]: each for each in program.one("wafv2/webAcl:WebAcl").inputs["rules"]}
    assert rules["rate-per-address"]["statement"]["rateBasedStatement"]["limit"] == 10_000
    managed = rules["known-bad-inputs"]["statement"]["managedRuleGroupStatement"]
    assert managed == {"vendorName": "AWS", "name": "AWSManagedRulesKnownBadInputsRuleSet"}
    association = program.one("WebAclAssociation")
    assert any("lb/loadBalancer:LoadBalancer" in urn for urn in association.depends("resourceArn"))
    logging = program.one("WebAclLoggingConfiguration").inputs
    assert logging["redactedFields"] == [{"singleHeader": {"name": "authorization"}}]
    group = program.one("LogGroup", "waf")
    assert group.inputs["name"].startswith("aws-waf-logs-")
    assert group.depends("kmsKeyId")


def test_alarms() -> None:
    """Unhealthy tasks and server errors reach the topic, per target group and for the balancer itself."""
    program = build()
    alarms = [each for each in program.of("MetricAlarm") if "realtime:LoadBalancer" in each.urn]
    assert {each.name for each in alarms} == {
        "api-unhealthy",
        "api-5xx",
        "websocket-unhealthy",
        "websocket-5xx",
        "realtime-5xx",
    }
    assert all(any("sns/topic:Topic" in urn for urn in each.depends("alarmActions")) for each in alarms)


@pytest.mark.parametrize("ctx", [DEV, PROD], ids=["dev", "prod"])
def test_all_children_are_tagged(ctx: Context) -> None:
    """Every taggable resource of the tier says whose it is."""
    mine = [
        each
        for each in build(ctx).resources
        if "realtime:RealtimeTier" in each.urn and each.type.startswith("aws:") and "tags" in each.inputs
    ]
    assert len(mine) > 30
    for each in mine:
        assert {"stack", "tier", "owner", "cost-center"} <= each.inputs["tags"].keys(), each.urn
