"""From a call to the actions and ARNs that IAM asks for: an explicit table, as names often differ.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html has the same per service.
A call that is not in the table is an undecided finding, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from lab.iam.facts import TASK_DEFINITION, Facts, UnknownNeedError
from lab.iam.model import Call, Need

Names = Callable[[Mapping[str, Any], Facts], Iterable[str]]


def _same(*operations: str) -> dict[str, str]:
    return {name: name for name in operations}


def _queue(params: Mapping[str, Any], facts: Facts) -> Iterable[str]:
    if "QueueUrl" in params:
        account, name = str(params["QueueUrl"]).rstrip("/").rsplit("/", 2)[-2:]
        yield f"arn:aws:sqs:{facts.region}:{account}:{name}"
    elif "QueueName" in params:
        yield facts.arn("sqs", str(params["QueueName"]))


def _topic(params: Mapping[str, Any], _: Facts) -> Iterable[str]:
    yield from (str(params[name]) for name in ("TopicArn", "TargetArn") if name in params)


def _parameter(params: Mapping[str, Any], facts: Facts) -> Iterable[str]:
    names = [*(params.get("Names") or ()), *(params[key] for key in ("Name", "Path") if key in params)]
    for name in map(str, names):
        # a parameter may be asked for with a version or a label after a colon
        plain = name if name.startswith("arn:") else name.partition(":")[0]
        yield plain if plain.startswith("arn:") else facts.arn("ssm", f"parameter/{plain.lstrip('/')}")


def _table(params: Mapping[str, Any], facts: Facts) -> Iterable[str]:
    for name in [
        *(params.get("RequestItems") or ()),
        *([params["TableName"]] if "TableName" in params else ()),
    ]:
        arn = name if str(name).startswith("arn:") else facts.arn("dynamodb", f"table/{name}")
        yield f"{arn}/index/{params['IndexName']}" if "IndexName" in params else arn


def _bus(params: Mapping[str, Any], facts: Facts) -> Iterable[str]:
    entries: list[dict[str, Any]] = params.get("Entries") or [{}]
    for entry in entries:
        name = str(entry.get("EventBusName") or "default")
        yield name if name.startswith("arn:") else facts.arn("events", f"event-bus/{name}")


def _stream(params: Mapping[str, Any], facts: Facts) -> Iterable[str]:
    if "logGroupName" in params:
        yield facts.arn("logs", f"log-group:{params['logGroupName']}:log-stream:{{stream}}")


def _none(_: Mapping[str, Any], __: Facts) -> Iterable[str]:
    yield "*"


# the signature's service -> prefix of its actions, operation -> action, and which resources it names
SERVICES: Final[Mapping[str, tuple[str, Mapping[str, str], Names]]] = {
    "sqs": (
        "sqs",
        {
            **_same(
                "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "PurgeQueue"
            ),
            **_same("GetQueueAttributes", "GetQueueUrl", "SetQueueAttributes"),
            "SendMessageBatch": "SendMessage",
            "DeleteMessageBatch": "DeleteMessage",
            "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
        },
        _queue,
    ),
    "sns": ("sns", {"Publish": "Publish", "PublishBatch": "Publish"}, _topic),
    "ssm": ("ssm", _same("GetParameter", "GetParameters", "GetParametersByPath", "PutParameter"), _parameter),
    "dynamodb": (
        "dynamodb",
        {
            **_same("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
            **_same("BatchGetItem", "BatchWriteItem", "DescribeTable"),
        },
        _table,
    ),
    "events": ("events", _same("PutEvents"), _bus),
    "logs": ("logs", _same("CreateLogStream", "PutLogEvents", "DescribeLogStreams"), _stream),
    "monitoring": ("cloudwatch", _same("PutMetricData", "GetMetricData"), _none),
    "xray": ("xray", _same("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules"), _none),
    "sts": ("sts", {}, _none),
}
_OF_TRANSACTIONS: Final = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def needs(call: Call, facts: Facts) -> list[Need]:
    """What one call needs of its role, with what the called service asks of keys in its name."""
    found = list(_needs(call, facts))
    return [*found, *(more for need in found for more in facts.companions(need))]


def _needs(call: Call, facts: Facts) -> Iterator[Need]:
    if call.service == "sts" and call.operation == "GetCallerIdentity":
        return  # nobody can be denied it
    if call.service in _SPECIAL:
        yield from _SPECIAL[call.service](call, facts)
        return
    nothing: dict[str, str] = {}
    prefix, actions, names = SERVICES.get(call.service, ("", nothing, _none))
    if call.service == "dynamodb" and call.operation.startswith("Transact"):
        yield from _transaction(call, facts)
        return
    if call.operation not in actions:
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    resources = list(names(_params(call), facts))
    if not resources:
        raise UnknownNeedError(f"{call} names no resource that was recorded")
    for resource in resources:
        yield Need(f"{prefix}:{actions[call.operation]}", resource, _reason(call), facts.request)


def _params(call: Call) -> Mapping[str, Any]:
    if call.params is None:
        raise UnknownNeedError(f"the request of {call} could not be read")
    return call.params


def _reason(call: Call) -> str:
    # only the runner's calls bear no name: they come from its code (`runner.py`)
    how = "recorded" if call.who else "its code calls"
    return f"{how}: {call.service} {call.operation or call.method}"


def _transaction(call: Call, facts: Facts) -> Iterator[Need]:
    for item in _params(call).get("TransactItems") or ():
        for kind, params in item.items():
            for resource in _table(params, facts):
                yield Need(f"dynamodb:{_OF_TRANSACTIONS[kind]}", resource, _reason(call), facts.request)


def _secrets(call: Call, facts: Facts) -> Iterator[Need]:
    if call.operation not in ("GetSecretValue", "PutSecretValue", "DescribeSecret"):
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    given = str(_params(call).get("SecretId", ""))
    known = {
        str(one.outputs.get("name")): arn for arn, one in facts.by_arn.items() if ":secretsmanager:" in arn
    }
    arn = (
        given
        if given.startswith("arn:")
        else known.get(given, facts.arn("secretsmanager", f"secret:{given}"))
    )
    resource, tags = facts.secret(arn)
    yield Need(f"secretsmanager:{call.operation}", resource, _reason(call), facts.request, tags)


def _keys(call: Call, facts: Facts) -> Iterator[Need]:
    if call.operation not in ("Decrypt", "Encrypt", "GenerateDataKey", "Sign", "Verify", "DescribeKey"):
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    reference = str(_params(call).get("KeyId", ""))
    yield facts.key_need(f"kms:{call.operation}", reference, _reason(call))


def _tasks(call: Call, facts: Facts) -> Iterator[Need]:
    """ECS: RunTask also tags the task and hands its roles over."""
    params = _params(call)
    cluster = str(params.get("cluster") or "default")
    cluster = cluster if cluster.startswith("arn:") else facts.arn("ecs", f"cluster/{cluster}")
    where = {**facts.request, "ecs:cluster": cluster}
    task = facts.arn("ecs", f"task/{cluster.rpartition('/')[2]}/{{id}}")
    if call.operation in ("DescribeTasks", "StopTask"):
        yield Need(f"ecs:{call.operation}", task, _reason(call), where)
        return
    if call.operation != "RunTask":
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    definition = str(params.get("taskDefinition", ""))
    family = definition.rpartition("/")[2].partition(":")[0]
    yield Need(
        "ecs:RunTask", facts.arn("ecs", f"task-definition/{family}:{{revision}}"), _reason(call), where
    )
    if params.get("enableECSManagedTags") or params.get("tags") or params.get("propagateTags"):
        tagging = {**facts.request, "ecs:CreateAction": "RunTask"}
        yield Need("ecs:TagResource", task, f"{_reason(call)}, which tags the task", tagging)
    for one in facts.graph.of_type(TASK_DEFINITION):
        if str(one.inputs.get("family")) == family:
            passing = {**facts.request, "iam:PassedToService": "ecs-tasks.amazonaws.com"}
            for name in ("executionRoleArn", "taskRoleArn"):
                if one.inputs.get(name):
                    yield Need("iam:PassRole", str(one.inputs[name]), f"{_reason(call)}, {name}", passing)


def _functions(call: Call, facts: Facts) -> Iterator[Need]:
    words = call.path.strip("/").split("/")
    if call.method != "POST" or words[1:2] != ["functions"] or words[3:] != ["invocations"]:
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    name = words[2].rpartition(":function:")[2].partition(":")[0]
    yield Need("lambda:InvokeFunction", facts.arn("lambda", f"function:{name}"), _reason(call), facts.request)


# (method, on an object, sub-resource) -> action
_S3: Final[Mapping[tuple[str, bool, str], str]] = {
    ("GET", True, ""): "GetObject",
    ("HEAD", True, ""): "GetObject",
    ("PUT", True, ""): "PutObject",
    ("POST", True, ""): "PutObject",
    ("DELETE", True, ""): "DeleteObject",
    ("GET", True, "versionId"): "GetObjectVersion",
    ("HEAD", True, "versionId"): "GetObjectVersion",
    ("DELETE", True, "versionId"): "DeleteObjectVersion",
    ("POST", True, "uploads"): "PutObject",
    ("PUT", True, "uploadId"): "PutObject",
    ("POST", True, "uploadId"): "PutObject",
    ("DELETE", True, "uploadId"): "AbortMultipartUpload",
    ("GET", True, "uploadId"): "ListMultipartUploadParts",
    ("GET", True, "tagging"): "GetObjectTagging",
    ("PUT", True, "tagging"): "PutObjectTagging",
    ("GET", False, ""): "ListBucket",
    ("HEAD", False, ""): "ListBucket",
    ("GET", False, "versions"): "ListBucketVersions",
    ("GET", False, "location"): "GetBucketLocation",
    ("POST", False, "delete"): "DeleteObject",
}
_SUBRESOURCES: Final = frozenset(
    (
        *("versionId", "uploads", "uploadId", "tagging", "versions", "location", "delete", "acl", "policy"),
        *(
            "lifecycle",
            "versioning",
            "encryption",
            "cors",
            "notification",
            "website",
            "logging",
            "replication",
        ),
        *("torrent", "restore", "select", "attributes", "retention", "legal-hold", "publicAccessBlock"),
    )
)


def _objects(call: Call, facts: Facts) -> Iterator[Need]:
    """S3: the action follows from method and sub-resource. Of a key the first folder is kept."""
    bucket, _, key = call.path.strip("/").partition("/")
    special = [name for name in call.query if name in _SUBRESOURCES]
    action = _S3.get((call.method, bool(key), special[0] if special else ""))
    if action is None or not bucket or len(special) > 1:
        raise UnknownNeedError(f"{call} is not in the table of lab/iam/actions.py")
    on_objects = bool(key) or action == "DeleteObject"
    arn = f"arn:aws:s3:::{bucket}" + (f"/{_folder(key)}" if on_objects else "")
    yield Need(f"s3:{action}", arn, _reason(call), facts.request)
    if call.source:
        source, _, key = call.source.lstrip("/").partition("/")
        yield Need(
            "s3:GetObject", f"arn:aws:s3:::{source}/{_folder(key)}", f"{_reason(call)}, a copy", facts.request
        )


def _folder(key: str) -> str:
    first, slash, _ = key.partition("/")
    return f"{first}/{{key}}" if slash else "{key}"


_SPECIAL: Final[Mapping[str, Callable[[Call, Facts], Iterator[Need]]]] = {
    "secretsmanager": _secrets,
    "kms": _keys,
    "ecs": _tasks,
    "lambda": _functions,
    "s3": _objects,
}
