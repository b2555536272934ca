"""SQS queues and SNS topics in the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run.creators.calls import attempt
from lab.run.world import World

Outputs = Mapping[str, Any]

# pulumi-aws input -> queue attribute
_QUEUE = {
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "policy": "Policy",
    "fifoQueue": "FifoQueue",
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "fifoThroughputLimit": "FifoThroughputLimit",
}
_NO_QUEUE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
_FIXED = frozenset({"FifoQueue"})  # cannot be set on a queue that exists


def queue(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created, or its attributes brought up to date with its messages kept."""
    sqs = world.client("sqs")
    name = str(resource.inputs.get("name") or resource.name)
    attributes = {
        attribute: text(resource.inputs[key])
        for key, attribute in _QUEUE.items()
        if resource.inputs.get(key) not in (None, False)
    }
    found = attempt(lambda: sqs.get_queue_url(QueueName=name), *_NO_QUEUE)
    if found is None:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    else:
        url = found["QueueUrl"]
        fresh = {key: value for key, value in attributes.items() if key not in _FIXED}
        if fresh:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=fresh)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return {"id": url, "url": url, "arn": arn, "name": name}


def redrive(world: World, resource: Resource, _: Outputs) -> Outputs:
    """A redrive policy declared apart from its queue."""
    url = str(resource.inputs["queueUrl"])
    attribute = "RedrivePolicy" if "redrivePolicy" in resource.inputs else "RedriveAllowPolicy"
    value = text(resource.inputs.get("redrivePolicy") or resource.inputs["redriveAllowPolicy"])
    world.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: value})
    return {"id": url}


def topic(world: World, resource: Resource, _: Outputs) -> Outputs:
    """Created, or found: SNS itself is idempotent here."""
    name = str(resource.inputs.get("name") or resource.name)
    arn = world.client("sns").create_topic(Name=name)["TopicArn"]
    return {"id": arn, "arn": arn, "name": name}


def text(value: Any) -> str:
    """A queue attribute is a string: 30.0 is `30`, True is `true`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


MAKERS = {
    "aws:sqs/queue:Queue": queue,
    "aws:sqs/redrivePolicy:RedrivePolicy": redrive,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": redrive,
    "aws:sns/topic:Topic": topic,
}
