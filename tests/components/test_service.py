"""ContainerService: what a service is given, what it refuses, and how it scales."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from components.contract import AppContractError
from components.drain import DrainConfig
from components.key import Key
from components.links import Ingress, Link, Statement
from components.network.component import Network
from components.network.config import NetworkConfig
from components.service.cluster import Cluster
from components.service.component import ContainerService, Target
from components.service.config import FARGATE_MEMORY, BuildConfig, ImageConfig, MetricTarget, ServiceConfig
from components.service.context import IgnoreRules, context_files, context_hash
from components.service.image import Image, ImageBuild, make_image
from tests.components.support import CTX, MODES, Program, document, run

OWN = "111111111111.dkr.ecr.us-east-1.amazonaws.com"


class EchoSettings(BaseSettings):
    """A small app contract."""

    stack: str
    service: str
    bind_host: str
    port: int
    drain_seconds: float
    linger_seconds: float = 0
    shutdown_seconds: float
    keep_alive_seconds: float
    queue_name: str
    echo_password: SecretStr


def build(
    mode: str = "preview",
    *,
    config: ServiceConfig | None = None,
    image: Image | None = None,
    balanced: bool = True,
    environment: dict[str, str] | None = None,
    links: bool = True,
    statements: bool = True,
) -> Program:
    """One service `echo` with a link to a database and, if wished, a load balancer before it."""

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        network = Network("network", NetworkConfig(), ctx=CTX, key=key)
        cluster = Cluster("main", ctx=CTX, tier="echo", key=key)
        database = aws.ec2.SecurityGroup("database", vpc_id=network.vpc_id)
        balancer = aws.ec2.SecurityGroup("balancer", vpc_id=network.vpc_id)
        link = Link(
            name="db",
            secrets={"ECHO_PASSWORD": CTX.parameter_arn("/slipway/dev/data/echo-password")},
            statements=(
                Statement(sid="Send", actions=("sqs:SendMessage",), resources=(CTX.arn("sqs", "echo"),)),
            )
            if statements
            else (),
            ingress=(Ingress(security_group_id=database.id, port=5432, description="echo to db"),),
            kms_aliases=(key.alias,),
        )
        target = Target(
            target_group_arn="arn:tg", security_group_id=balancer.id, resource_label="app/x/targetgroup/y"
        )
        ContainerService(
            "echo",
            config
            or ServiceConfig(requests_per_minute=600, metrics=(MetricTarget(name="OpenEchoes", target=50),)),
            ctx=CTX,
            tier="echo",
            network=network,
            cluster=cluster,
            image=image or Image(uri=f"{OWN}/echo:1", repository_arn=CTX.arn("ecr", "repository/echo")),
            key=key,
            settings=EchoSettings,
            command=("python", "-m", "echo"),
            drain=DrainConfig(),
            links=[link] if links else [],
            environment={"QUEUE_NAME": "echo"} if environment is None else environment,
            target=target if balanced else None,
        )

    return run(program, mode=mode)


def container(program: Program) -> dict[str, Any]:
    """The one container definition."""
    return json.loads(program.one("TaskDefinition").inputs["containerDefinitions"])[0]


@pytest.mark.parametrize("mode", MODES)
def test_the_container_has_what_was_linked_and_nothing_else(mode: str) -> None:
    """Environment, secrets and command, known in both modes."""
    found = container(build(mode))
    assert {each["name"]: each["value"] for each in found["environment"]} == {
        "STACK": "dev",
        "SERVICE": "echo",
        "BIND_HOST": "0.0.0.0",
        "PORT": "8000",
        "DRAIN_SECONDS": "20",
        "SHUTDOWN_SECONDS": "25",
        "KEEP_ALIVE_SECONDS": "70",
        "LINGER_SECONDS": "5",
        "QUEUE_NAME": "echo",
    }
    assert found["secrets"] == [
        {"name": "ECHO_PASSWORD", "valueFrom": CTX.parameter_arn("/slipway/dev/data/echo-password")}
    ]
    assert found["command"] == ["python", "-m", "echo"]
    assert found["healthCheck"]["command"] == ["CMD", "python", "-m", "apps.platform.healthcheck"]
    assert found["stopTimeout"] == 30


def test_the_app_may_send_and_the_agent_may_pull() -> None:
    """Task role: the link's statements. Execution role: image, logs, the one parameter and its key."""
    program = build()
    task = document(program.one("RolePolicy", "echo-task").inputs["policy"])["Statement"]
    assert [(each["Action"], each["Resource"]) for each in task] == [
        (["sqs:SendMessage"], ["arn:aws:sqs:us-east-1:111111111111:echo"])
    ]
    agent = {
        each["Sid"]: each
        for each in document(program.one("RolePolicy", "echo-execution").inputs["policy"])["Statement"]
    }
    assert set(agent) == {"WriteLogs", "PullImage", "LogInToRegistry", "ReadParameters", "DecryptParameters1"}
    assert agent["PullImage"]["Resource"] == ["arn:aws:ecr:us-east-1:111111111111:repository/echo"]
    trust = document(program.one("iam/role:Role", "echo-task").inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}


def test_a_service_without_statements_has_a_role_without_policy() -> None:
    """No link, no permission: an empty policy document would be refused by IAM."""
    program = build(statements=False)
    assert "echo-task" in {each.name for each in program.of("iam/role:Role")}
    assert "echo-task" not in {each.name for each in program.of("RolePolicy")}


@pytest.mark.parametrize("mode", MODES)
def test_traffic_flows_between_groups_only(mode: str) -> None:
    """Balancer to service on 8000, service to database on 5432, TLS out; each end has its rule."""
    program = build(mode)

    def rules(kind: str) -> set[tuple[str, str, int]]:
        found = set()
        for each in program.of(kind):
            own = next(iter(each.depends("securityGroupId"))).split("::")[-1]
            other = next(
                iter(each.depends("referencedSecurityGroupId")), each.inputs.get("cidrIpv4", "")
            ).split("::")[-1]
            found.add((own, other, each.inputs["fromPort"]))
        return found

    assert rules("SecurityGroupIngressRule") == {("echo", "balancer", 8000), ("database", "echo", 5432)}
    assert rules("SecurityGroupEgressRule") == {
        ("balancer", "echo", 8000),
        ("echo", "database", 5432),
        ("echo", "0.0.0.0/0", 443),
    }


def test_a_missing_and_a_stray_variable_stop_the_composition() -> None:
    """The app contract is checked where the service is made, not in production."""
    with pytest.raises(AppContractError) as caught:
        build(environment={"QUEUE_NAM": "echo"})
    assert "missing: QUEUE_NAME" in str(caught.value)
    assert "stray: QUEUE_NAM" in str(caught.value)
    with pytest.raises(AppContractError, match="exposed: ECHO_PASSWORD"):
        build(links=False, environment={"QUEUE_NAME": "q", "ECHO_PASSWORD": "x"})


def test_scaling_tracks_each_target() -> None:
    """CPU, requests per task and the app's own metric, with the dimensions that the app writes."""
    program = build()
    policies = {
        each.name: each.inputs["targetTrackingScalingPolicyConfiguration"] for each in program.of("Policy")
    }
    assert policies["echo-cpu"]["targetValue"] == 60
    assert policies["echo-requests"]["predefinedMetricSpecification"] == {
        "predefinedMetricType": "ALBRequestCountPerTarget",
        "resourceLabel": "app/x/targetgroup/y",
    }
    custom = policies["echo-openechoes"]["customizedMetricSpecification"]
    assert (custom["namespace"], custom["metricName"], custom["statistic"]) == (
        "Slipway",
        "OpenEchoes",
        "Average",
    )
    assert {each["name"]: each["value"] for each in custom["dimensions"]} == {
        "Stack": "dev",
        "Service": "echo",
    }
    assert list(program.one("ecs/service:Service").request.ignoreChanges) == ["desiredCount"]


def test_a_fixed_size_has_no_scaler_and_keeps_its_count() -> None:
    """With min and max equal, the program owns the number of tasks."""
    program = build(config=ServiceConfig(min_tasks=3, max_tasks=3), balanced=False)
    assert program.of("appautoscaling/target:Target") == []
    service = program.one("ecs/service:Service")
    assert list(service.request.ignoreChanges) == []
    assert service.inputs["desiredCount"] == 3
    assert service.inputs["loadBalancers"] == []


def test_deletion_may_take_longer_than_draining() -> None:
    """Pulumi's delete timeout exceeds deregistration delay and stopTimeout together."""
    timeouts = build().one("ecs/service:Service").request.customTimeouts
    drain = DrainConfig()
    assert int(timeouts.delete.rstrip("s")) > drain.deregistration_delay + drain.stop_timeout


@given(st.sampled_from(sorted(FARGATE_MEMORY)), st.integers(128, 130_000))
def test_fargate_sizes(cpu: int, memory: int) -> None:
    """Exactly the sizes of the Fargate table are accepted; others name the nearest."""
    if memory in FARGATE_MEMORY[cpu]:
        assert ServiceConfig(cpu=cpu, memory=memory).memory == memory
    else:
        with pytest.raises(ValidationError, match="hint: memory: "):
            ServiceConfig(cpu=cpu, memory=memory)


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (ServiceConfig, {"min_tasks": 5, "max_tasks": 2}, "swap them"),
        (ServiceConfig, {"cpu_percent": None}, "nothing says when to scale"),
        (ImageConfig, {}, "exactly one source"),
        (ImageConfig, {"build": {}, "reference": "example.com/a:1"}, "exactly one source"),
        (ImageConfig, {"reference": "example.com/a:latest"}, "names no certain image"),
        (ImageConfig, {"reference": "example.com/a"}, "pattern"),
    ],
)
def test_impossible_configs_are_refused(model: Any, values: dict[str, Any], words: str) -> None:
    """Each with what would be right."""
    with pytest.raises(ValidationError, match=words):
        model(**values)


# --- the image


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context like the project's own."""
    (tmp_path / "apps" / "echo" / "__pycache__").mkdir(parents=True)
    (tmp_path / "apps" / "echo" / "main.py").write_text("print('echo')")
    (tmp_path / "apps" / "echo" / "__pycache__" / "main.pyc").write_bytes(b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.md").write_text("not for the image")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("*\n!apps\n**/__pycache__\n")
    return tmp_path


def test_the_hash_follows_what_the_builder_sees(context: Path) -> None:
    """Contents, names, Dockerfile and settings change the tag; what is ignored does not."""

    def tag(**values: str) -> str:
        return context_hash(context, context / "Dockerfile", values)

    first = tag(platform="linux/arm64")
    (context / "notes" / "todo.md").write_text("changed")
    (context / "apps" / "echo" / "__pycache__" / "main.pyc").write_bytes(b"y")
    assert tag(platform="linux/arm64") == first
    assert tag(platform="linux/amd64") != first
    (context / "apps" / "echo" / "main.py").rename(context / "apps" / "echo" / "app.py")
    renamed = tag(platform="linux/arm64")
    assert renamed != first
    (context / "Dockerfile").write_text("FROM scratch\nUSER 10001\n")
    assert tag(platform="linux/arm64") != renamed
    assert [path.name for path in context_files(context)] == ["app.py"]


def test_a_missing_dockerfile_is_named(context: Path) -> None:
    """The error says which file, and which key names it."""
    with pytest.raises(FileNotFoundError, match=r"Nope; hint: image\.build\.dockerfile"):
        context_hash(context, context / "Nope", {})


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*\n!apps\n", "apps/a.py", False),
        ("*\n!apps\n", "lab/a.py", True),
        ("*\n!apps\napps/console/dist\n", "apps/console/dist/x.js", True),
        ("*.log\n", "a.log", True),
        ("*.log\n", "sub/a.log", False),
        ("**/*.log\n", "sub/a.log", True),
        ("**/*.log\n", "a.log", True),
        ("# a comment\n\nsecret?\n", "secret1", True),
        ("docs/\n", "docs/x/y.md", True),
        ("docs\n!docs/keep.md\n", "docs/keep.md", False),
    ],
)
def test_dockerignore(rules: str, path: str, ignored: bool) -> None:
    """The rules as Docker documents them: last match wins, `!` takes back, `**` crosses folders."""
    assert IgnoreRules(rules).ignored(path) is ignored


@pytest.mark.parametrize("mode", MODES)
def test_a_build_has_a_computed_reference(mode: str, context: Path) -> None:
    """The task definition names an image that does not exist yet, and waits for its build."""
    images: list[Image] = []

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        images.append(make_image("apps", ImageConfig(build=BuildConfig()), ctx=CTX, key=key, root=context))

    found = run(program, mode=mode)
    settings = {"platform": "linux/arm64", "generation": "1"}
    tag = context_hash(context, context / "Dockerfile", settings)
    assert images[0].uri == f"{OWN}/slipway-dev-apps:{tag}"
    assert found.one("awsx:ecr:Image").inputs["imageTag"] == tag
    repository = found.one("awsx:ecr:Repository").inputs
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["encryptionConfigurations"][0]["encryptionType"] == "KMS"
    assert images[0].repository_arn == "arn:aws:ecr:us-east-1:111111111111:repository/slipway-dev-apps"


def test_a_new_generation_is_a_new_tag_of_the_same_files(context: Path) -> None:
    """ECR takes a tag once: files that return to an earlier state can still be deployed."""

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        for generation in (1, 2):
            config = BuildConfig(generation=generation)
            ImageBuild(f"g{generation}", config, ctx=CTX, key=key, root=context)

    tags = {each.inputs["imageTag"] for each in run(program).of("awsx:ecr:Image")}
    assert len(tags) == 2


@pytest.mark.parametrize(
    ("reference", "arn"),
    [
        (f"{OWN}/team/apps:1.2", "arn:aws:ecr:us-east-1:111111111111:repository/team/apps"),
        (f"{OWN}/apps@sha256:{'a' * 64}", "arn:aws:ecr:us-east-1:111111111111:repository/apps"),
        ("ghcr.io/example/apps:1.2", None),
    ],
)
def test_a_given_reference_is_used_as_it_is(reference: str, arn: str | None, tmp_path: Path) -> None:
    """Only a repository of this account may, and need, be opened by IAM."""
    images: list[Image] = []

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        images.append(make_image("apps", ImageConfig(reference=reference), ctx=CTX, key=key, root=tmp_path))

    found = run(program)
    assert (images[0].uri, images[0].repository_arn) == (reference, arn)
    assert not found.of("slipway:service:ImageBuild")


def test_two_builds_of_one_context_do_not_collide(context: Path) -> None:
    """Each build hangs on its own component, so that equal tags are not equal names."""

    def program() -> None:
        key = Key("key", ctx=CTX, tier="security", purpose="stack")
        for name in ("one", "two"):
            ImageBuild(name, BuildConfig(), ctx=CTX, key=key, root=context, opts=pulumi.ResourceOptions())

    assert len(run(program).of("awsx:ecr:Image")) == 2
