"""Queues: what fails goes somewhere, stays there long enough, and somebody is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from policies.control import PASS, Verdict, each, fail, undecided, whole
from policies.example import Example, Resource, example, res, to_json
from policies.frameworks import maps
from policies.graph import Graph, Node
from policies.reader import UNKNOWN, UndecidedError
from policies.settings import Settings

QUEUE: Final = "aws:sqs/queue:Queue"
FUNCTION: Final = "aws:lambda/function:Function"
ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
_REDRIVE: Final = "aws:sqs/redrivePolicy:RedrivePolicy"
_GUIDE: Final = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"
)
_FORTNIGHT: Final = 14 * 24 * 3600  # the longest that SQS keeps a message
_DEFAULT_RETENTION: Final = 4 * 24 * 3600
_ARN: Final = "arn:aws:sqs:us-east-1:111111111111:{}"
# deliveries that can fail for good, and by which property they name the queue for them
DELIVERIES: Final[Mapping[str, str]] = {
    "aws:sns/topicSubscription:TopicSubscription": "redrivePolicy",
    "aws:cloudwatch/eventTarget:EventTarget": "deadLetterConfig",
    "aws:scheduler/schedule:Schedule": "target",
}
# these have nothing to redrive: AWS retries, and a person reads them or does not
_PERSONAL: Final = ("email", "email-json", "sms")


@dataclass(frozen=True)
class Redrive:
    """Where a queue's failed messages go: a queue if it is of this stack, and whether it is known at all."""

    carrier: Node
    target: Node | None
    known: bool


def redrives(graph: Graph, queue: Node) -> list[Redrive]:
    """The redrive policies of a queue, its own or a resource's; made from a queue's ARN, one names that."""
    carriers = [*([queue] if queue.given("redrivePolicy") else []), *graph.about(queue, _REDRIVE, "queueUrl")]
    return [_redrive(graph, queue, carrier) for carrier in carriers]


def _redrive(graph: Graph, queue: Node, carrier: Node) -> Redrive:
    made = [each for each in carrier.made_from("redrivePolicy", QUEUE) if each is not queue]
    if made:
        return Redrive(carrier, made[0], known=True)
    value = carrier.get("redrivePolicy")
    if value is UNKNOWN:
        return Redrive(carrier, None, known=False)
    arn = _policy(value).get("deadLetterTargetArn")
    return Redrive(carrier, named(graph, arn), known=isinstance(arn, str))


def _policy(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def named(graph: Graph, arn: object) -> Node | None:
    """The queue of this stack that an ARN or URL ends in."""
    last = arn.rpartition(":")[2].rpartition("/")[2] if isinstance(arn, str) else ""
    return next((queue for queue in graph.of_type(QUEUE) if last and last in queue.names), None)


def sources(graph: Graph, dead: Node) -> list[Node]:
    """The queues and deliveries whose failures end in this queue."""
    found = [queue for queue in graph.of_type(QUEUE) if any(r.target is dead for r in redrives(graph, queue))]
    for type_, key in {**DELIVERIES, FUNCTION: "deadLetterConfig"}.items():
        for node in graph.of_type(type_):
            words = json.dumps(node.get(key), default=str)
            by_name = any(f":{name}" in words for name in dead.names)
            made = [each for each in node.made_from(key, QUEUE) if each is dead]
            # a schedule's target is one block: what it delivers to is not where its failures go
            if by_name or (
                made and not (type_.endswith(":Schedule") and not node.given("target.deadLetterConfig"))
            ):
                found.append(node)
    return found


def _queue(**given: Any) -> Resource:
    return res("sqs/Queue", **{"name": "jobs", **given})


def _dead(**given: Any) -> Resource:
    return res("sqs/Queue", **{"name": "jobs-dead", "messageRetentionSeconds": _FORTNIGHT, **given})


def _to(target: str, count: int = 5) -> dict[str, Any]:
    return to_json({"deadLetterTargetArn": target, "maxReceiveCount": count})


_TO_DEAD: Final = _to(_ARN.format("jobs-dead"))


def _alarm(queue: str = "jobs-dead", **given: Any) -> Resource:
    values: dict[str, Any] = {
        "namespace": "AWS/SQS",
        "metricName": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": queue},
        "alarmActions": ["arn:aws:sns:us-east-1:111111111111:alarms"],
    }
    return res("cloudwatch/MetricAlarm", **{**values, **given})


@whole(
    "SLP-QUE-001",
    "A queue's failures go to another queue",
    "high",
    "queues",
    frameworks=maps(nag="SQS3"),
    rationale="Without one a message that cannot be handled comes back until it is thrown away, unseen.",
    remediation="give the queue a redrive_policy: dead_letter_target_arn and max_receive_count",
    links=(_GUIDE,),
    applies_to=(QUEUE,),
    bad=(
        example(it=_queue()),
        example(it=_queue(redrivePolicy=to_json({"maxReceiveCount": 5}))),
        example(it=_queue(), other=_queue(name="other", redrivePolicy=_TO_DEAD)),
    ),
    good=(
        example(dead=_dead(), it=_queue(redrivePolicy=_to("${dead.arn}"))),
        example(dead=_dead(), it=_queue(redrivePolicy=_TO_DEAD)),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD)),
        example(
            it=_queue(),
            dead=_dead(),
            link=res("sqs/RedrivePolicy", queueUrl="${it.url}", redrivePolicy=_to("${dead.arn}")),
        ),
        example(
            it=_dead(),
            link=res("sns/TopicSubscription", topic="t", protocol="sqs", redrivePolicy=_to("${it.arn}")),
        ),
    ),
)
def dead_letters(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """A queue that takes others' failures needs none itself."""

    def judge(queue: Node) -> Verdict:
        found = redrives(graph, queue)
        if any(each.target is not None or each.known for each in found) or sources(graph, queue):
            return PASS
        if any(each.carrier.get("redrivePolicy") is UNKNOWN for each in found):
            raise UndecidedError("redrivePolicy")
        strays = graph.perhaps_about(queue, _REDRIVE, "queueUrl") + _open_redrives(graph, queue)
        return (
            undecided("what another redrive policy names is not known")
            if strays
            else fail("has no dead-letter queue")
        )

    return each(graph.of_type(QUEUE), judge)


def _open_redrives(graph: Graph, queue: Node) -> list[Node]:
    """Others whose failures may end in this queue, for all that is known."""
    others = [(each, "redrivePolicy") for each in graph.of_type(QUEUE, _REDRIVE) if each is not queue]
    others += [(each, key) for type_, key in DELIVERIES.items() for each in graph.of_type(type_)]
    nameless = queue.get("name") is UNKNOWN
    return [
        each
        for each, key in others
        if not each.made_from(key, QUEUE) and (each.get(key) is UNKNOWN or (nameless and each.given(key)))
    ]


@whole(
    "SLP-QUE-002",
    "Dead letters are kept for two weeks",
    "high",
    "queues",
    frameworks=maps(nag="SQS3"),
    rationale="A message keeps its age when it moves: in a queue of four days it may be gone before Monday.",
    remediation="set message_retention_seconds of the dead-letter queue to 1209600",
    links=(_GUIDE,),
    applies_to=(QUEUE,),
    bad=(
        example(it=_dead(messageRetentionSeconds=345600), jobs=_queue(redrivePolicy=_to("${it.arn}"))),
        example(it=res("sqs/Queue", name="jobs-dead"), jobs=_queue(redrivePolicy=_TO_DEAD)),
    ),
    good=(
        example(it=_dead(), jobs=_queue(redrivePolicy=_to("${it.arn}"))),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD, messageRetentionSeconds=345600)),
    ),
    absent="silent",
)
def dead_retention(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Two weeks is the most that SQS keeps, so it is never less than the source's."""

    def judge(queue: Node) -> Verdict | None:
        found = sources(graph, queue)
        if not found:
            if _open_redrives(graph, queue):
                return undecided("whether it takes failures is not known")
            return None
        seconds = float(queue.known("messageRetentionSeconds", _DEFAULT_RETENTION))
        return (
            PASS
            if seconds >= _FORTNIGHT
            else fail("keeps dead letters less than 14 days", path=[found[0], queue])
        )

    return each(graph.of_type(QUEUE), judge)


@whole(
    "SLP-QUE-003",
    "Somebody is told of dead letters",
    "high",
    "queues",
    frameworks=maps(),
    rationale="A dead-letter queue that nobody looks into is a slower way to lose messages.",
    remediation="add a metric alarm on ApproximateNumberOfMessagesVisible of the queue, with alarm_actions",
    links=(_GUIDE,),
    applies_to=(QUEUE,),
    bad=(
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD)),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD), alarm=_alarm("jobs")),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD), alarm=_alarm(alarmActions=[])),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD), alarm=_alarm(metricName="SentMessageSize")),
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD), alarm=_alarm(actionsEnabled=False)),
    ),
    good=(
        example(it=_dead(), jobs=_queue(redrivePolicy=_TO_DEAD), alarm=_alarm()),
        example(it=_dead(), jobs=_queue(redrivePolicy=_to("${it.arn}")), alarm=_alarm("${it.name}")),
        example(
            topic=res("sns/Topic", name="alarms"),
            it=_dead(),
            jobs=_queue(redrivePolicy=_TO_DEAD),
            alarm=_alarm(alarmActions=["${topic.arn}"]),
        ),
    ),
    absent="silent",
    presence=("alarmActions",),
)
def dead_alarm(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """Who is told may be unknown; that somebody is may not."""

    def judge(queue: Node) -> Verdict | None:
        found = sources(graph, queue)
        if not found:
            if _open_redrives(graph, queue):
                return undecided("whether it takes failures is not known")
            return None
        open_ = False
        for alarm in graph.of_type(ALARM):
            watches = _watches(alarm, queue)
            open_ = open_ or watches is None
            if watches and alarm.known("actionsEnabled", default=True) and alarm.given("alarmActions"):
                return PASS
        if open_:
            return undecided("what an alarm watches is not known", path=[found[0], queue])
        return fail("has no alarm that tells anybody", path=[found[0], queue])

    return each(graph.of_type(QUEUE), judge)


def _watches(alarm: Node, queue: Node) -> bool | None:
    """Whether an alarm looks at the queue's backlog; None while that is not known."""
    metric, named_ = alarm.get("metricName"), alarm.get("dimensions.QueueName")
    if metric is UNKNOWN:
        return None
    if not str(metric).startswith("ApproximateNumberOfMessages"):
        return False
    if queue in alarm.deps.get("dimensions", ()):
        return True
    if named_ is UNKNOWN or (isinstance(named_, str) and queue.get("name") is UNKNOWN):
        return None if not alarm.made_from("dimensions", QUEUE) else False
    return isinstance(named_, str) and named_ in queue.names


def _subscription(**given: Any) -> Example:
    return example(it=res("sns/TopicSubscription", topic="t", endpoint="e", **given))


@whole(
    "SLP-QUE-004",
    "Deliveries that fail go somewhere",
    "medium",
    "queues",
    frameworks=maps(checkov="116"),
    rationale="SNS, EventBridge and the scheduler drop what they could not deliver after their last try.",
    remediation="give it a dead-letter queue (redrive_policy, dead_letter_config)",
    links=("https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html",),
    applies_to=tuple(DELIVERIES),
    bad=(
        _subscription(protocol="sqs"),
        example(it=res("cloudwatch/EventTarget", rule="nightly", arn=_ARN.format("jobs"))),
        example(it=res("scheduler/Schedule", target={"arn": _ARN.format("jobs"), "roleArn": "r"})),
    ),
    good=(
        _subscription(protocol="sqs", redrivePolicy=_TO_DEAD),
        _subscription(protocol="email"),
        example(
            it=res(
                "cloudwatch/EventTarget",
                rule="nightly",
                arn=_ARN.format("jobs"),
                deadLetterConfig={"arn": _ARN.format("jobs-dead")},
            )
        ),
        example(
            it=res(
                "scheduler/Schedule",
                target={"arn": _ARN.format("jobs"), "deadLetterConfig": {"arn": _ARN.format("jobs-dead")}},
            )
        ),
    ),
    presence=("redrivePolicy", "deadLetterConfig", "deadLetterConfig.arn"),
)
def deliveries(graph: Graph, _settings: Settings) -> Iterator[tuple[Node | None, Verdict]]:
    """That a queue is named is known even while its ARN is not."""

    def judge(node: Node) -> Verdict:
        if str(node.known("protocol", "")) in _PERSONAL:
            return PASS
        if node.type.endswith(":Schedule"):
            node.known("target")
            return PASS if node.given("target.deadLetterConfig") else fail("drops what it cannot deliver")
        return PASS if node.given(DELIVERIES[node.type]) else fail("drops what it cannot deliver")

    return each(graph.of_type(*DELIVERIES), judge)


CONTROLS = (dead_letters, dead_retention, dead_alarm, deliveries)
