"""Releases that can be trusted and taken back: images, services, groups of instances, load balancers."""

from __future__ import annotations

from typing import Any, Final

from policies.control import PASS, Verdict, need, one
from policies.example import Example, example, res
from policies.frameworks import maps
from policies.graph import Node
from policies.reader import token, tokens, true
from policies.settings import Settings, in_production

_SERVICE: Final = token("ecs/Service")


@one(
    "SLP-DAT-012",
    "Tags of images do not move",
    "medium",
    "data-protection",
    frameworks=maps("ECR.2", checkov="51"),
    rationale="When a tag moves, a rollback starts something else than what ran before.",
    remediation="set image_tag_mutability to IMMUTABLE",
    applies_to=tokens("ecr/Repository"),
    bad=(example(it=res("ecr/Repository", name="api", imageTagMutability="MUTABLE")),),
    good=(
        example(it=res("ecr/Repository", name="api", imageTagMutability="IMMUTABLE")),
        example(it=res("ecr/Repository", name="api", imageTagMutability="IMMUTABLE_WITH_EXCLUSION")),
    ),
)
def immutable_tags(repository: Node, _settings: Settings) -> Verdict:
    """Mutable unless said."""
    fixed = str(repository.known("imageTagMutability", "MUTABLE")).startswith("IMMUTABLE")
    return need(fixed, "imageTagMutability is not IMMUTABLE")


@one(
    "SLP-DAT-013",
    "Images are scanned when they are pushed",
    "medium",
    "data-protection",
    frameworks=maps("ECR.1", checkov="163"),
    rationale="A known hole in a library is cheapest to close before the image runs.",
    remediation="set image_scanning_configuration.scan_on_push",
    applies_to=tokens("ecr/Repository"),
    bad=(example(it=res("ecr/Repository", name="api", imageScanningConfiguration={"scanOnPush": False})),),
    good=(example(it=res("ecr/Repository", name="api", imageScanningConfiguration={"scanOnPush": True})),),
)
def scanned(repository: Node, _settings: Settings) -> Verdict:
    """Off unless said; a registry-wide scan is not seen here."""
    on = true(repository.known("imageScanningConfiguration.scanOnPush"))
    return need(on, "imageScanningConfiguration.scanOnPush is not on")


def _service(breaker: dict[str, bool] | None = None, **given: Any) -> Example:
    inputs = {"desiredCount": 2, "deploymentCircuitBreaker": breaker or {"enable": True, "rollback": True}}
    return example(it=res("ecs/Service", name="api", **{**inputs, **given}))


@one(
    "SLP-DAT-014",
    "A deployment that fails goes back by itself",
    "medium",
    "data-protection",
    rationale="Without the breaker a release whose tasks never become healthy is retried for three hours.",
    remediation="set deployment_circuit_breaker to enable and rollback",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html",),
    applies_to=(_SERVICE,),
    bad=(
        _service({"enable": True, "rollback": False}),
        _service({"enable": False, "rollback": True}),
    ),
    good=(_service(), example(it=res("ecs/Service", deploymentController={"type": "CODE_DEPLOY"}))),
)
def rolls_back(service: Node, _settings: Settings) -> Verdict:
    """CodeDeploy and external controllers roll back on their own terms."""
    if service.known("deploymentController.type", "ECS") != "ECS":
        return PASS
    keys = ("deploymentCircuitBreaker.enable", "deploymentCircuitBreaker.rollback")
    off = [key for key in keys if not true(service.known(key))]
    return need(not off, f"{' and '.join(off)} is not on")


@one(
    "SLP-DAT-015",
    "In production, a service has two tasks at least",
    "medium",
    "data-protection",
    rationale="One task is an outage at every deployment that goes wrong and at every lost zone.",
    remediation="set desired_count to 2 or more",
    links=("https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html",),
    applies_to=(_SERVICE,),
    bad=(_service(desiredCount=1),),
    good=(_service(), example(it=res("ecs/Service", schedulingStrategy="DAEMON"))),
)
def two_tasks(service: Node, settings: Settings) -> Verdict | None:
    """A daemon runs once per instance."""
    if not in_production(settings):
        return None
    if service.known("schedulingStrategy", "REPLICA") == "DAEMON":
        return PASS
    count = service.known("desiredCount", 0)
    return need(isinstance(count, (int, float)) and count > 1, "desiredCount is below 2")


@one(
    "SLP-DAT-016",
    "Fargate runs the platform's latest version",
    "medium",
    "data-protection",
    frameworks=maps("ECS.10", checkov="332"),
    rationale="A pinned version of the platform keeps the holes that AWS has closed since.",
    remediation="leave platform_version out, or set it to LATEST",
    applies_to=(_SERVICE,),
    bad=(example(it=res("ecs/Service", launchType="FARGATE", platformVersion="1.3.0")),),
    good=(example(it=res("ecs/Service", launchType="FARGATE", platformVersion="LATEST")),),
    absent="pass",
)
def latest_platform(service: Node, _settings: Settings) -> Verdict:
    """LATEST unless said."""
    return need(service.known("platformVersion", "LATEST") == "LATEST", "platformVersion is pinned")


_GROUP: Final = token("autoscaling/Group")


@one(
    "SLP-DAT-017",
    "Groups of instances are made from a launch template, and replace what the load balancer calls ill",
    "medium",
    "data-protection",
    frameworks=maps("AutoScaling.1 AutoScaling.9", checkov="315"),
    rationale="An instance whose process hangs is healthy to EC2; launch configurations are out of date.",
    remediation="set launch_template, and health_check_type to ELB where the group has target groups",
    applies_to=(_GROUP,),
    bad=(
        example(it=res("autoscaling/Group", launchConfiguration="old")),
        example(
            it=res(
                "autoscaling/Group",
                launchTemplate={"id": "lt-1"},
                targetGroupArns=["arn"],
                healthCheckType="EC2",
            )
        ),
    ),
    good=(
        example(
            it=res(
                "autoscaling/Group",
                launchTemplate={"id": "lt-1"},
                targetGroupArns=["arn"],
                healthCheckType="ELB",
            )
        ),
        example(it=res("autoscaling/Group", launchTemplate={"id": "lt-1"})),
        example(it=res("autoscaling/Group", mixedInstancesPolicy={"launchTemplate": {}})),
    ),
    presence=("launchTemplate", "mixedInstancesPolicy", "targetGroupArns"),
)
def healthy_groups(group: Node, _settings: Settings) -> Verdict:
    """A group without target groups has no load balancer to ask."""
    if not group.given("launchTemplate") and not group.given("mixedInstancesPolicy"):
        return need(condition=False, message="has no launchTemplate")
    balanced = group.given("targetGroupArns") or group.given("loadBalancers")
    asks = not balanced or group.known("healthCheckType") == "ELB"
    return need(asks, "has a load balancer, and healthCheckType is not ELB")


@one(
    "SLP-DAT-018",
    "Instances are not taken from under their tasks",
    "medium",
    "data-protection",
    rationale="Without managed termination protection a scale-in ends instances that still run tasks.",
    remediation="set managed_termination_protection to ENABLED",
    links=(
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-termination-protection.html",
    ),
    applies_to=tokens("ecs/CapacityProvider"),
    bad=(
        example(
            it=res(
                "ecs/CapacityProvider",
                autoScalingGroupProvider={"managedTerminationProtection": "DISABLED"},
            )
        ),
    ),
    good=(
        example(
            it=res(
                "ecs/CapacityProvider",
                autoScalingGroupProvider={"managedTerminationProtection": "ENABLED"},
            )
        ),
    ),
)
def tasks_first(provider: Node, _settings: Settings) -> Verdict:
    """Off unless said."""
    state = provider.known("autoScalingGroupProvider.managedTerminationProtection")
    return need(state == "ENABLED", "managedTerminationProtection is not ENABLED")


@one(
    "SLP-DAT-019",
    "Load balancers drop requests that are not what they seem",
    "medium",
    "data-protection",
    frameworks=maps("ELB.4 ELB.12", checkov="131 328"),
    rationale="A request that the load balancer and the service read differently hides another one.",
    remediation="set drop_invalid_header_fields, and leave desync_mitigation_mode at defensive or strictest",
    applies_to=tokens("lb/LoadBalancer"),
    bad=(
        example(it=res("lb/LoadBalancer", dropInvalidHeaderFields=False)),
        example(it=res("lb/LoadBalancer", dropInvalidHeaderFields=True, desyncMitigationMode="monitor")),
    ),
    good=(
        example(it=res("lb/LoadBalancer", dropInvalidHeaderFields=True, desyncMitigationMode="strictest")),
        example(it=res("lb/LoadBalancer", loadBalancerType="network")),
    ),
)
def no_smuggling(balancer: Node, _settings: Settings) -> Verdict:
    """Only application load balancers read HTTP."""
    if balancer.known("loadBalancerType", "application") != "application":
        return PASS
    if not true(balancer.known("dropInvalidHeaderFields")):
        return need(condition=False, message="dropInvalidHeaderFields is not on")
    mode = balancer.known("desyncMitigationMode", "defensive")
    return need(mode in ("defensive", "strictest"), "desyncMitigationMode lets ambiguous requests through")


CONTROLS = (
    immutable_tags,
    scanned,
    rolls_back,
    two_tasks,
    latest_platform,
    healthy_groups,
    tasks_first,
    no_smuggling,
)
