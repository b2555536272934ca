"""The whole program, each stack in both modes: composed, decidable at preview, and wired as it says."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
from typing import Any

import pulumi_aws
import pytest

from tests.components.support import MODES, STACK, UNKNOWN, Program, Registration, document, run_stack

STACKS = ("dev", "prod", "local")
composed = functools.cache(run_stack)
# One worker composes each stack once.
pytestmark = pytest.mark.xdist_group("program")
each_stack = pytest.mark.parametrize("stack", STACKS)
each_mode = pytest.mark.parametrize("mode", MODES)

# Where AWS or the SDK keeps a policy: these inputs are documents wherever they appear.
DOCUMENTS = {"policy", "assumeRolePolicy", "containerDefinitions"}
# The resource types whose state a mistake must not take in a retained stack.
STATEFUL = {
    "aws:rds/instance:Instance",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:s3/bucket:Bucket",
    "aws:kms/key:Key",
}


def containers(program: Program) -> dict[str, dict[str, Any]]:
    """The container of each task definition by its name."""
    found = [
        json.loads(each.inputs["containerDefinitions"])[0]
        for each in program.of("aws:ecs/taskDefinition:TaskDefinition")
    ]
    return {container["name"]: container for container in found}


def statements(program: Program, role: str) -> list[dict[str, Any]]:
    """All statements of the inline policies of a role by its logical name."""
    return [
        statement
        for each in program.of("aws:iam/rolePolicy:RolePolicy")
        if each.name == role
        for statement in document(each.inputs["policy"])["Statement"]
    ]


@each_stack
@each_mode
def test_every_document_is_known_json_text(stack: str, mode: str) -> None:
    """No Output is in a policy or a container definition: the policies can judge each at preview."""
    program = composed(stack, mode=mode)
    found = 0
    for resource in program.resources:
        for key in DOCUMENTS & resource.inputs.keys():
            # KMS grants name role ARNs only AWS knows where a policy says so; ours are all computed
            assert resource.inputs[key] != UNKNOWN, f"{resource.urn}: {key} is unknown"
            assert isinstance(resource.inputs[key], str), f"{resource.urn}: {key} is no text"
            json.loads(resource.inputs[key])
            found += 1
    assert found > 20


@each_stack
@each_mode
def test_both_modes_register_the_same_resources(stack: str, mode: str) -> None:
    """Nothing in the program depends on a value that only exists after a deployment."""
    assert [each.urn for each in sorted_by_urn(composed(stack, mode=mode))] == [
        each.urn for each in sorted_by_urn(composed(stack, mode="preview"))
    ]


def sorted_by_urn(program: Program) -> list[Registration]:
    """Registrations in an order that does not depend on threads."""
    return sorted(program.resources, key=lambda each: each.urn)


@each_stack
def test_every_taggable_resource_is_tagged(stack: str) -> None:
    """Stack, tier, owner and cost center are on whatever AWS lets be tagged."""
    for resource in composed(stack).resources:
        if resource.request.custom and resource.type.startswith("aws:") and _taggable(resource.type):
            tags = resource.inputs.get("tags", {})
            missing = {"stack", "tier", "owner", "cost-center", "Name"} - tags.keys()
            assert not missing, f"{resource.urn} lacks the tags {sorted(missing)}"
            assert tags["stack"] == stack


def _taggable(token: str) -> bool:
    module, name = token.split(":")[1].split("/", maxsplit=1)[0], token.split(":")[2]
    module = {"lambda": "lambda_"}.get(module, module)
    return hasattr(getattr(getattr(pulumi_aws, module), name), "tags")


@each_stack
def test_every_component_registers_its_outputs(stack: str) -> None:
    """A component that forgets it is never shown as finished."""
    program = composed(stack)
    ours = [each for each in program.resources if each.type.startswith("slipway:")]
    assert len(ours) >= 10
    assert [each.urn for each in ours if each.urn not in program.outputs] == []


@each_stack
def test_everything_hangs_on_a_component_and_on_the_one_provider(stack: str) -> None:
    """No resource of AWS escapes the provider that refuses other accounts."""
    program = composed(stack)
    provider = program.one("pulumi:providers:aws")
    accounts = json.loads(provider.inputs["allowedAccountIds"])
    assert len(accounts) == 1
    for each in program.resources:
        if each.type.startswith("aws:"):
            assert each.request.provider.startswith(provider.urn), each.urn
            assert f"::{STACK}::" not in each.parent, f"{each.urn} has no component above it"


@each_stack
def test_the_environment_holds_no_secret_and_each_secret_is_a_parameter_of_the_graph(stack: str) -> None:
    """Secrets reach a container as SSM ARNs only, and each names a parameter that the stack makes."""
    program = composed(stack)
    made = {each.inputs["name"] for each in program.of("aws:ssm/parameter:Parameter")}
    for name, container in containers(program).items():
        plain = {entry["name"] for entry in container["environment"]}
        assert not [key for key in plain if "PASSWORD" in key or "SECRET" in key or "TOKEN" in key]
        for secret in container["secrets"]:
            assert ":parameter/" in secret["valueFrom"]
            path = secret["valueFrom"].split(":parameter")[1]
            assert path in made, f"{name}: {secret['name']} comes from {path}, which nothing makes"


@each_stack
def test_the_agent_may_read_exactly_what_the_containers_ask_for(stack: str) -> None:
    """The execution role's parameters are the container's secrets, no more and no fewer."""
    program = composed(stack)
    for name, container in containers(program).items():
        allowed = {
            arn
            for statement in statements(program, f"{name}-execution")
            if "ssm:GetParameters" in statement["Action"]
            for arn in statement["Resource"]
        }
        assert allowed == {secret["valueFrom"] for secret in container["secrets"]}


@each_stack
def test_containers_are_hardened(stack: str) -> None:
    """Read-only root, user 10001, no capabilities, PID 1 is the app, stop within Fargate's limit."""
    for name, container in containers(composed(stack)).items():
        assert container["readonlyRootFilesystem"] is True, name
        assert container["user"] == "10001:10001", name
        assert container["linuxParameters"] == {
            "initProcessEnabled": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert 2 <= container["stopTimeout"] <= 120, name
        assert container["logConfiguration"]["options"]["awslogs-group"].startswith(f"/slipway/{stack}/")
        assert ("portMappings" in container) == (name != "migrations")


@each_stack
def test_services_are_private_and_roll_back(stack: str) -> None:
    """Private subnets, no public address, no shell into tasks, circuit breaker with rollback."""
    program = composed(stack)
    services = program.of("aws:ecs/service:Service")
    assert sorted(each.name for each in services) == ["api", "filter-processor", "websocket"]
    private = {each.urn for each in program.of("aws:ec2/subnet:Subnet") if "-private-" in each.name}
    for service in services:
        network = service.inputs["networkConfiguration"]
        assert network["assignPublicIp"] is False
        subnets = {urn for urn in service.depends("networkConfiguration") if "ec2/subnet:Subnet" in urn}
        assert subnets == private
        assert service.inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert service.inputs["enableExecuteCommand"] is False
        assert service.inputs["propagateTags"] == "SERVICE"


@each_stack
def test_services_wait_for_the_migrations(stack: str) -> None:
    """Each service depends on the invocation that runs the migration task to its end."""
    program = composed(stack)
    done = program.one("aws:lambda/invocation:Invocation").urn
    for service in program.of("aws:ecs/service:Service"):
        assert done in service.request.dependencies, service.name


@each_stack
def test_a_scaler_owns_the_number_of_tasks(stack: str) -> None:
    """Autoscaled services ignore changes of desiredCount, so that a deployment never scales in."""
    program = composed(stack)
    targets = {each.name: each.inputs for each in program.of("aws:appautoscaling/target:Target")}
    for service in program.of("aws:ecs/service:Service"):
        assert list(service.request.ignoreChanges) == ["desiredCount"]
        target = targets[service.name]
        assert target["resourceId"] == f"service/slipway-{stack}-realtime/{service.inputs['name']}"
        assert target["minCapacity"] == (2 if stack == "prod" else 1)
        assert target["maxCapacity"] > target["minCapacity"]


@each_stack
def test_only_a_retained_stack_protects_state(stack: str) -> None:
    """What holds state is protected and kept in prod, and free to go in dev."""
    program = composed(stack)
    state = [each for each in program.resources if each.type in STATEFUL]
    assert len(state) >= 4
    for each in state:
        kept = stack == "prod"
        # the bucket of access logs holds nothing that is not also elsewhere
        assert each.request.protect is kept, each.urn
        assert each.request.retainOnDelete is kept, each.urn


@each_stack
def test_no_statement_is_wild(stack: str) -> None:
    """No identity policy allows a wildcard action, nor any resource without a condition."""
    for each in composed(stack).of("aws:iam/rolePolicy:RolePolicy"):
        for statement in document(each.inputs["policy"])["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            resources = (
                statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            )
            assert not [action for action in actions if "*" in action], each.urn
            assert "*" not in resources or "Condition" in statement, each.urn


@each_stack
def test_nothing_listens_to_the_world_but_the_load_balancer(stack: str) -> None:
    """Of all rules into security groups, only ports 80 and 443 of the balancer are open to any address."""
    program = composed(stack)
    world = [
        (each.name, each.inputs["fromPort"])
        for each in program.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if each.inputs.get("cidrIpv4") == "0.0.0.0/0"
    ]
    assert sorted({port for _, port in world}) == [80, 443]
    assert len(world) == 2
    out = program.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert {each.inputs["fromPort"] for each in out if each.inputs.get("cidrIpv4") == "0.0.0.0/0"} == {443}


def test_every_secret_value_is_marked_secret() -> None:
    """Passwords travel in the engine's secret envelope, never as plain inputs."""
    program = composed("dev", mode="resolved")
    for each in program.of("aws:ssm/parameter:Parameter"):
        if "password" in each.name:
            assert "value" in each.secrets, each.urn
    cache = program.one("aws:elasticache/replicationGroup:ReplicationGroup")
    assert "authToken" in cache.secrets


def test_the_stack_exports_where_it_serves() -> None:
    """The outputs that a person and the next stack ask for."""
    assert set(composed("dev", mode="resolved").exports) >= {
        "url",
        "image",
        "load_balancer",
        "restore_command",
        "vpc_id",
    }


def test_physical_names_keep_the_limits_of_aws() -> None:
    """Every computed name is inside its service's limit and alphabet."""
    limits = {
        "aws:iam/role:Role": 64,
        "aws:lb/loadBalancer:LoadBalancer": 32,
        "aws:lb/targetGroup:TargetGroup": 32,
        "aws:lambda/function:Function": 64,
        "aws:ecs/service:Service": 255,
    }
    for each in composed("prod").resources:
        if each.type in limits and "name" in each.inputs:
            assert len(each.inputs["name"]) <= limits[each.type], each.urn
            assert re.fullmatch(r"[a-z0-9-]+", each.inputs["name"]), each.urn


@each_stack
def test_the_key_serves_every_log_group_that_it_encrypts(stack: str) -> None:
    """CloudWatch Logs refuses a group whose ARN the key's policy does not name."""
    program = composed(stack)
    policy = document(program.one("aws:kms/key:Key").inputs["policy"])
    patterns = next(
        each["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
        for each in policy["Statement"]
        if each["Sid"] == "UseLogs"
    )
    groups = program.of("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) > 8
    for group in groups:
        account = (
            program.one("aws:budgets/budget:Budget").inputs["accountId"]
            if stack != "local"
            else "000000000000"
        )
        arn = f"arn:aws:logs:us-east-1:{account}:log-group:{group.inputs['name']}"
        assert any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns), group.inputs["name"]


@each_stack
def test_no_two_resources_of_a_type_share_a_name(stack: str) -> None:
    """Each is also known by its alias without parents, which names type and name only."""
    keys = [(each.type, each.name) for each in composed(stack).resources if each.request.custom]
    assert len(keys) == len(set(keys))
