"""What AWS itself does in a role's name: no recording has it, the graph says it.

The agent of ECS pulls images, opens log streams and reads secrets under the execution role; Lambda writes its
log and polls its queues; the network's flow logs are delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from components.oneoff import handler
from lab.iam.actions import needs
from lab.iam.facts import TASK_DEFINITION, Facts
from lab.iam.model import Need
from lab.iam.runner import calls_of_runner
from lab.model import Resource

FUNCTION: Final = "aws:lambda/function:Function"
MAPPING: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
INVOCATION: Final = "aws:lambda/invocation:Invocation"
FLOW_LOG: Final = "aws:ec2/flowLog:FlowLog"
SERVICE: Final = "aws:ecs/service:Service"

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
_PULL: Final = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_POLL: Final = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html: four actions without resources
_EXEC: Final = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)


def derived(facts: Facts) -> Iterator[tuple[str, Iterator[Need]]]:
    """(ARN of a role, what it must be allowed); reading the second may raise UnknownNeedError."""
    for one in facts.graph.of_type(TASK_DEFINITION):
        yield str(one.inputs.get("executionRoleArn", "")), _agent(one, facts)
    for one in facts.graph.of_type(SERVICE):
        definition = facts.by_arn.get(str(one.inputs.get("taskDefinition")))
        if one.inputs.get("enableExecuteCommand") and definition is not None:
            yield str(definition.inputs.get("taskRoleArn", "")), _exec(one, facts)
    for one in facts.graph.of_type(FUNCTION):
        yield str(one.inputs.get("role", "")), _function(one, facts)
    for one in facts.graph.of_type(FLOW_LOG):
        yield str(one.inputs.get("iamRoleArn", "")), _flow_log(one, facts)


def _agent(definition: Resource, facts: Facts) -> Iterator[Need]:
    for container in facts.containers(definition):
        name = f"container {container.get('name')}"
        image = str(container.get("image", ""))
        registry, _, rest = image.partition("/")
        if ".dkr.ecr." in registry:
            account, _, _, region = registry.split(".")[:4]
            repository = rest.partition("@")[0].partition(":")[0]
            yield Need("ecr:GetAuthorizationToken", "*", f"{name} is pulled", facts.request)
            arn = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
            yield from (Need(action, arn, f"{name} is pulled", facts.request) for action in _PULL)
        for secret in container.get("secrets") or ():
            reason = f"{name} has the secret {secret['name']}"
            yield from _secret(str(secret["valueFrom"]), reason, facts)
        log: dict[str, Any] = container.get("logConfiguration") or {}
        if log.get("logDriver") == "awslogs":
            options = cast("Mapping[str, str]", log.get("options") or {})
            yield from _log_group(options.get("awslogs-group", ""), f"{name} logs", facts)
            if options.get("awslogs-create-group") == "true":
                group = facts.arn("logs", f"log-group:{options.get('awslogs-group')}:log-stream:")
                yield Need("logs:CreateLogGroup", group, f"{name} makes its log group", facts.request)


def _secret(value: str, reason: str, facts: Facts) -> Iterator[Need]:
    if ":secretsmanager:" in value:
        arn, tags = facts.secret(":".join(value.split(":")[:7]))
        need = Need("secretsmanager:GetSecretValue", arn, reason, facts.request, tags)
    else:
        arn = value if value.startswith("arn:") else facts.arn("ssm", f"parameter/{value.lstrip('/')}")
        need = Need("ssm:GetParameters", arn, reason, facts.request)
    yield need
    yield from facts.companions(need)


def _log_group(name: str, reason: str, facts: Facts) -> Iterator[Need]:
    stream = facts.arn("logs", f"log-group:{name}:log-stream:{{stream}}")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Need(action, stream, reason, facts.request)


def _exec(service: Resource, facts: Facts) -> Iterator[Need]:
    for action in _EXEC:
        yield Need(action, "*", f"service {service.name} lets one in by ECS Exec", facts.request)


def _function(function: Resource, facts: Facts) -> Iterator[Need]:
    name, given = f"function {function.name}", function.inputs
    logging = cast("Mapping[str, Any]", given.get("loggingConfig") or {})
    group = str(logging.get("logGroup") or f"/aws/lambda/{given.get('name')}")
    yield from _log_group(group, f"{name} logs", facts)
    tracing: dict[str, Any] = given.get("tracingConfig") or {}
    if tracing.get("mode") == "Active":
        for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
            yield Need(action, "*", f"{name} is traced", facts.request)
    for mapping in facts.graph.of_type(MAPPING):
        source = str(mapping.inputs.get("eventSourceArn", ""))
        wanted = str(mapping.inputs.get("functionName", ""))
        if ":sqs:" in source and wanted in (given.get("name"), function.outputs.get("arn")):
            for action in _POLL:
                need = Need(f"sqs:{action}", source, f"{name} is fed from the queue", facts.request)
                yield need
                yield from facts.companions(need)
    if given.get("handler") == f"{handler.__name__.rpartition('.')[2]}.run":
        for invocation in facts.graph.of_type(INVOCATION):
            if invocation.inputs.get("functionName") == given.get("name"):
                for call in calls_of_runner(str(invocation.inputs["input"])):
                    yield from needs(call, facts)


def _flow_log(flow_log: Resource, facts: Facts) -> Iterator[Need]:
    """The log group is there already: of AWS's list (flow-logs-iam-role.html) three actions are left."""
    group = str(flow_log.inputs.get("logDestination", "")).removesuffix(":*")
    if ":log-group:" not in group:
        return
    reason = f"flow log {flow_log.name} is delivered"
    # IAM is asked for `group:log-stream:NAME` by all three; of the group's own ARN only tagging makes use
    for action in ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"):
        yield Need(action, f"{group}:log-stream:{{stream}}", reason, facts.request)
