"""How much runs at once, against what AWS and the database allow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, need, one, undecided, whole
from policies.controls.containers import containers
from policies.controls.queues import FUNCTION, QUEUE, named
from policies.example import Example, Resource, example, res, to_json
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import RelationSettings, Settings

MAPPING: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
DATABASE: Final = "aws:rds/instance:Instance"
SERVICE: Final = "aws:ecs/service:Service"
TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
_PROVISIONED: Final = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
_SQS_GUIDE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
_LIMITS: Final = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
_QUEUE_ARN: Final = "arn:aws:sqs:us-east-1:111111111111:jobs"
_TIMES: Final = 6  # what AWS asks for, so that a throttled batch may be tried again before it is visible
_LONGEST: Final = 900
_BATCH: Final = 10
_UNRESERVED: Final = 100  # AWS keeps so much for functions without a reservation


def function_of(graph: Graph, node: Node, key: str) -> Node | None:
    """The function of this stack that a property names: by output, name or ARN."""
    found = graph.referred(node, key, FUNCTION)
    value = node.get(key)
    if found is not None or not isinstance(value, str):
        return found
    match = re.search(r":function:([A-Za-z0-9_-]+)", value)
    return next((each for each in graph.of_type(FUNCTION) if match and match[1] in each.names), None)


def _queue_of(graph: Graph, mapping: Node) -> tuple[Node | None, bool]:
    """The queue that a mapping reads, and whether it reads a queue at all; unknown sources are undecided."""
    queue = graph.referred(mapping, "eventSourceArn", QUEUE) or named(graph, mapping.get("eventSourceArn"))
    if queue is not None:
        return queue, True
    if mapping.get("eventSourceArn") is UNKNOWN and mapping.deps.get("eventSourceArn"):
        return None, False  # made from something of this stack that is no queue
    arn = str(mapping.known("eventSourceArn", ""))
    return None, ":sqs:" in arn


def _reads(timeout: int, visibility: int, **given: Any) -> Example:
    return example(
        queue=res("sqs/Queue", name="jobs", visibilityTimeoutSeconds=visibility),
        resize=res("lambda/Function", name="resize", timeout=timeout),
        it=res(
            "lambda/EventSourceMapping",
            **{"eventSourceArn": "${queue.arn}", "functionName": "${resize.arn}", **given},
        ),
    )


@whole(
    "SLP-QUE-101",
    "A message stays hidden six times as long as its function may take",
    "high",
    "queues",
    frameworks=maps(),
    rationale="A message that becomes visible while it is still handled is handled twice at the same time.",
    remediation="raise visibility_timeout_seconds of the queue, or lower the function's timeout",
    links=(_SQS_GUIDE,),
    applies_to=(MAPPING,),
    bad=(
        _reads(30, 179),
        _reads(30, 30, eventSourceArn=_QUEUE_ARN, functionName="resize"),
        _reads(60, 30, functionName="arn:aws:lambda:us-east-1:111111111111:function:resize:live"),
    ),
    good=(
        _reads(30, 180),
        _reads(30, 180, eventSourceArn=_QUEUE_ARN, functionName="resize"),
        example(it=res("lambda/EventSourceMapping", eventSourceArn="arn:aws:kinesis:us-east-1:1:stream/s")),
    ),
    absent="pass",
)
def visibility(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Where both the queue and the function are of this stack."""

    def judge(mapping: Node) -> Verdict:
        queue, reads = _queue_of(graph, mapping)
        if not reads:
            return PASS
        function = function_of(graph, mapping, "functionName")
        if queue is None or function is None:
            return undecided("its queue or its function is not of this stack")
        hidden = float(queue.known("visibilityTimeoutSeconds", 30))
        takes = float(function.known("timeout", 3))
        words = f"hides messages for {hidden:.0f} s, less than {_TIMES} x the function's {takes:.0f} s"
        return PASS if hidden >= _TIMES * takes else fail(words, path=[queue, mapping, function])

    return each(graph.of_type(MAPPING), judge)


@whole(
    "SLP-QUE-102",
    "Batches of more than ten messages have a window",
    "medium",
    "queues",
    frameworks=maps(),
    rationale="SQS hands out ten messages at a time: without a window AWS refuses a larger batch.",
    remediation="set maximum_batching_window_in_seconds to at least 1, or batch_size to at most 10",
    links=(_SQS_GUIDE,),
    applies_to=(MAPPING,),
    bad=(
        _reads(30, 180, batchSize=100),
        _reads(30, 180, batchSize=11, maximumBatchingWindowInSeconds=0),
    ),
    good=(
        _reads(30, 180, batchSize=10),
        _reads(30, 180, batchSize=100, maximumBatchingWindowInSeconds=5),
        example(
            it=res(
                "lambda/EventSourceMapping",
                eventSourceArn="arn:aws:kinesis:us-east-1:1:stream/s",
                batchSize=100,
            )
        ),
    ),
    absent="pass",
)
def batches(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Streams have no such rule."""

    def judge(mapping: Node) -> Verdict:
        _, reads = _queue_of(graph, mapping)
        if not reads or float(mapping.known("batchSize", _BATCH)) <= _BATCH:
            return PASS
        window = float(mapping.known("maximumBatchingWindowInSeconds", 0))
        return need(window >= 1, "takes more than 10 messages and has no batching window")

    return each(graph.of_type(MAPPING), judge)


@one(
    "SLP-QUE-103",
    "Functions end within 15 minutes",
    "high",
    "queues",
    frameworks=maps(),
    rationale="AWS ends a function after 900 s: longer work needs a task.",
    remediation="lower the timeout to 900 or less, or run the work as an ECS task",
    links=(_LIMITS,),
    applies_to=(FUNCTION,),
    bad=(example(it=res("lambda/Function", timeout=1800)),),
    good=(example(it=res("lambda/Function", timeout=900)), example(it=res("lambda/Function", name="resize"))),
    absent="pass",
)
def longest(function: Node, _settings: Settings) -> Verdict:
    """AWS's default is 3 s."""
    return need(float(function.known("timeout", 3)) <= _LONGEST, "its timeout is above 900 s")


def _provisioned(reserved: int | None, *counts: int) -> Example:
    given = {} if reserved is None else {"reservedConcurrentExecutions": reserved}
    configs = {
        f"alias{index}": res(
            "lambda/ProvisionedConcurrencyConfig",
            functionName="resize",
            qualifier=f"v{index}",
            provisionedConcurrentExecutions=count,
        )
        for index, count in enumerate(counts)
    }
    return example(it=res("lambda/Function", name="resize", **given), **configs)


@whole(
    "SLP-QUE-104",
    "No more is provisioned than is reserved",
    "high",
    "queues",
    frameworks=maps(),
    rationale="AWS refuses to provision more than the function's reservation, when the stack is half made.",
    remediation="raise reserved_concurrent_executions, or provision less",
    links=("https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html",),
    applies_to=(FUNCTION,),
    bad=(_provisioned(10, 11), _provisioned(10, 6, 5), _provisioned(0, 1)),
    good=(_provisioned(10, 10), _provisioned(None, 50), _provisioned(10)),
    absent="pass",
)
def provisioned(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """All versions and aliases of a function share its reservation."""
    configs = [(config, function_of(graph, config, "functionName")) for config in graph.of_type(_PROVISIONED)]

    def judge(function: Node) -> Verdict:
        own = [config for config, of in configs if of is function]
        reserved = float(function.known("reservedConcurrentExecutions", -1))
        if reserved < 0:
            return PASS
        total = sum(float(config.known("provisionedConcurrentExecutions", 0)) for config in own)
        if total > reserved:
            return fail(f"provisions {total:.0f} of {reserved:.0f} reserved", path=[function, *own])
        open_ = any(of is None and config.get("functionName") is UNKNOWN for config, of in configs)
        nameless = function.get("name") is UNKNOWN and any(of is None for _, of in configs)
        return undecided("whose provisioned concurrency one is, is not known") if open_ or nameless else PASS

    return each(graph.of_type(FUNCTION), judge)


@whole(
    "SLP-QUE-105",
    "Reservations leave the account's functions a hundred",
    "high",
    "queues",
    frameworks=maps(checkov="115"),
    rationale="AWS keeps 100 executions for functions without a reservation, and refuses what goes beyond.",
    remediation="reserve less, or raise the account's limit and the pack's accountConcurrency",
    links=(_LIMITS,),
    applies_to=(FUNCTION,),
    bad=(
        example(it=res("lambda/Function", reservedConcurrentExecutions=901)),
        example(
            other=res("lambda/Function", reservedConcurrentExecutions=450),
            it=res("lambda/Function", reservedConcurrentExecutions=451),
        ),
    ),
    good=(
        example(
            other=res("lambda/Function", reservedConcurrentExecutions=449),
            it=res("lambda/Function", reservedConcurrentExecutions=451),
        ),
    ),
    absent="silent",
)
def reserved(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """The verdict stands with the function that reserves the most."""
    limit = (settings if isinstance(settings, RelationSettings) else RelationSettings()).account_concurrency
    functions = [each for each in graph.of_type(FUNCTION) if each.given("reservedConcurrentExecutions")]
    open_ = [each for each in functions if each.get("reservedConcurrentExecutions") is UNKNOWN]
    known = [
        (max(0.0, float(each.known("reservedConcurrentExecutions"))), each)
        for each in functions
        if each not in open_
    ]
    total = sum(count for count, _ in known)
    if total > limit - _UNRESERVED:
        most = max(known, key=lambda pair: pair[0])[1]
        words = f"{total:.0f} executions are reserved; an account of {limit} leaves {limit - _UNRESERVED}"
        yield most, fail(words, path=[each for _, each in known])
    elif open_:
        yield from ((each, undecided("what it reserves is not known")) for each in functions)
    else:
        yield from ((each, PASS) for each in functions)


# --- connections of a database -----------------------------------------------------------------------

# GiB of memory by size, and how many vCPUs that is; the family decides the memory of a vCPU
_VCPUS: Final = {
    "micro": 2,
    "small": 2,
    "medium": 2,
    "large": 2,
    "xlarge": 4,
    **{f"{count}xlarge": 4 * count for count in (2, 4, 8, 12, 16, 24, 32, 48)},
}
_BURSTABLE: Final = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_PER_VCPU: Final = {"m": 4, "r": 8, "x": 16}  # GiB; r4 has a little less
_BYTES_PER_CONNECTION: Final = 9_531_392
_MOST: Final = 5_000
_GIB: Final = 1024**3


def default_connections(instance_class: str) -> int | None:
    """RDS for PostgreSQL's own max_connections: LEAST(DBInstanceClassMemory / 9531392, 5000).

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html says the rule, not how much of the
    memory the system keeps for itself: 400 MiB or a tenth is more than was measured (t2.small 198, t2.medium
    413, t2.large 856, r4.large 1660: https://gist.github.com/guizmaii/1cacffef793c2ba9645083c3e18b3d8c).
    """
    match = re.fullmatch(r"db\.([a-z])[a-z0-9]*\.([a-z0-9]+)", instance_class)
    if match is None:
        return None
    family, size = match[1], match[2]
    gib = _BURSTABLE.get(size) if family == "t" else _VCPUS.get(size, 0) * _PER_VCPU.get(family, 0)
    if not gib:
        return None
    memory = gib * _GIB
    return int(min((memory - max(400 * 1024**2, memory // 10)) // _BYTES_PER_CONNECTION, _MOST))


def _limit(graph: Graph, database: Node) -> float | None:
    """What the parameter group says, else what the class's memory gives; None where neither is known."""
    group = graph.referred(database, "parameterGroupName", "aws:rds/parameterGroup:ParameterGroup")
    if group is not None:
        said = [each for each in group.blocks("parameters") if each.known("name") == "max_connections"]
        if said:
            value = str(said[0].known("value", ""))
            return float(value) if value.isdigit() else None
    elif not str(database.known("parameterGroupName", "default.")).startswith("default."):
        return None  # a group of another stack may say anything
    if not str(database.known("engine", "")).startswith("postgres"):
        return None
    return default_connections(str(database.known("instanceClass", "")))


def _environment(container: Mapping[str, Any], key: str) -> dict[str, str]:
    listed = container.get(key)
    pairs = cast("list[Any]", listed) if isinstance(listed, list) else []
    return {
        str(cast("Mapping[str, Any]", each).get("name")): str(
            cast("Mapping[str, Any]", each).get("value", "")
        )
        for each in pairs
        if isinstance(each, Mapping)
    }


def pool(task: Node, settings: RelationSettings) -> int:
    """The connections that one task may hold; a client that does not say how many is undecided."""
    total = 0
    for container in containers(task) or []:
        given = _environment(container, "environment")
        if not {*given, *_environment(container, "secrets")} & set(settings.database_variables):
            continue
        sizes = [given[name] for name in settings.pool_variables if given.get(name, "").isdigit()]
        if not sizes:
            raise UndecidedError(f"{settings.pool_variables[0]} of {task.label}")
        total += int(sizes[0])
    return total


def _tasks(graph: Graph, service: Node) -> float:
    """The most tasks at once: autoscaling's ceiling, and a deployment's share on top."""
    most = float(service.known("desiredCount", 1))
    name = service.get("name")
    for target in graph.of_type("aws:appautoscaling/target:Target"):
        scaled = target.get("resourceId")
        by_name = isinstance(scaled, str) and isinstance(name, str) and scaled.endswith(f"/{name}")
        if by_name or service in target.deps.get("resourceId", ()):
            most = max(most, float(target.known("maxCapacity", 0)))
        elif UNKNOWN in (scaled, name) and not target.made_from("resourceId", SERVICE):
            raise UndecidedError(f"resourceId of {target.label}")
    return most * max(100.0, float(service.known("deploymentMaximumPercent", 200))) / 100


def _client(pool_size: str | None, count: int, **more: Any) -> dict[str, Resource]:
    environment = [] if pool_size is None else [{"name": "DATABASE_POOL_SIZE", "value": pool_size}]
    container = {
        "name": "api",
        "environment": environment,
        "secrets": [{"name": "DATABASE_HOST", "valueFrom": "arn:aws:ssm:us-east-1:1:parameter/host"}],
    }
    return {
        "task": res("ecs/TaskDefinition", family="api", containerDefinitions=to_json([container])),
        "api": res(
            "ecs/Service", **{"name": "api", "taskDefinition": "${task.arn}", "desiredCount": count, **more}
        ),
    }


def _small(**given: Any) -> Resource:
    return res("rds/Instance", **{"engine": "postgres", "instanceClass": "db.t4g.small", **given})


@whole(
    "SLP-QUE-106",
    "The clients' pools together fit into the database",
    "high",
    "queues",
    frameworks=maps(),
    rationale="Connections run out while a deployment doubles the tasks, and then nobody can connect at all.",
    remediation="make the pools or the ceilings smaller, take a larger class, or put a proxy before it",
    links=("https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html",),
    applies_to=(DATABASE,),
    bad=(
        example(it=_small(), **_client("20", 10)),
        example(
            it=_small(),
            **_client("20", 1),
            target=res("appautoscaling/Target", resourceId="service/c/api", maxCapacity=8),
        ),
        example(
            it=_small(parameterGroupName="own"),
            own=res(
                "rds/ParameterGroup", name="own", parameters=[{"name": "max_connections", "value": "50"}]
            ),
            **_client("20", 2),
        ),
    ),
    good=(
        example(it=_small(), **_client("8", 4)),
        example(it=_small(), **_client("20", 4, deploymentMaximumPercent=100)),
        example(
            it=_small(parameterGroupName="own"),
            own=res(
                "rds/ParameterGroup", name="own", parameters=[{"name": "max_connections", "value": "500"}]
            ),
            **_client("20", 10),
        ),
        example(
            it=_small(identifier="db"),
            **_client("20", 10),
            proxy=res("rds/ProxyTarget", dbProxyName="p", dbInstanceIdentifier="db"),
        ),
        example(it=_small()),
    ),
    absent="pass",
)
def connections(graph: Graph, settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Every service that names a database is taken for a client of each; a proxy shares connections out."""
    chosen = settings if isinstance(settings, RelationSettings) else RelationSettings()

    def judge(database: Node) -> Verdict:
        if graph.about(database, "aws:rds/proxyTarget:ProxyTarget", "dbInstanceIdentifier"):
            return PASS
        total, clients = float(chosen.spare_connections), list[Node]()
        for service in graph.of_type(SERVICE):
            task = graph.referred(service, "taskDefinition", TASK)
            if task is None and service.get("taskDefinition") is UNKNOWN:
                raise UndecidedError(f"taskDefinition of {service.label}")
            held = pool(task, chosen) if task is not None else 0
            if held:
                clients.append(service)
                total += held * _tasks(graph, service)
        if not clients:
            return PASS
        limit = _limit(graph, database)
        if limit is None:
            return undecided("how many connections it allows is not known", path=[*clients, database])
        words = (
            f"its clients hold up to {total:.0f} connections while all are deployed; it allows {limit:.0f}"
        )
        return fail(words, path=[*clients, database]) if total > limit else PASS

    return each(graph.of_type(DATABASE), judge)


CONTROLS = (visibility, batches, longest, provisioned, reserved, connections)
