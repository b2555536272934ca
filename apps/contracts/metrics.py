"""Every metric of the realtime tier, once: name, unit, kind and meaning, by the process that reports it.

The apps report under these names, and what deploys scales, alarms and draws by them (ADR 0010), so this
module is plain data: it imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

NAMESPACE: Final = "Slipway"
#: The dimensions of every metric, in this order.
DIMENSIONS: Final[tuple[str, str]] = ("Stack", "Service")

#: As CloudWatch spells them.
Unit = Literal["Count", "Count/Second", "Milliseconds", "Seconds", "Bytes", "None"]


class Kind(StrEnum):
    """How a figure comes about; it also says which statistic of it means something."""

    LEVEL = "level"  # as it is now
    RATE = "rate"  # growth of a counter per second
    COUNT = "count"  # growth of a counter since the last line: what happens seldom
    RATIO = "ratio"  # growth of one counter by the growth of another; absent while nothing happened
    VALUES = "values"  # a distribution: percentiles of it can be taken


#: What CloudWatch makes of several lines and tasks in one period.
STATISTIC: Final[dict[Kind, str]] = {
    Kind.LEVEL: "Average",
    Kind.RATE: "Average",
    Kind.COUNT: "Sum",
    Kind.RATIO: "Average",
    Kind.VALUES: "p99",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one process."""

    name: str
    unit: Unit
    kind: Kind
    description: str


def _level(name: str, description: str, unit: Unit = "Count") -> Metric:
    return Metric(name, unit, Kind.LEVEL, description)


def _rate(name: str, description: str) -> Metric:
    return Metric(name, "Count/Second", Kind.RATE, description)


def _count(name: str, description: str) -> Metric:
    return Metric(name, "Count", Kind.COUNT, description)


def _ratio(name: str, description: str) -> Metric:
    return Metric(name, "None", Kind.RATIO, description)


def _values(name: str, description: str) -> Metric:
    return Metric(name, "Milliseconds", Kind.VALUES, description)


# --- every process ------------------------------------------------------------------------------------------

LOOP_LAG: Final = _values("LoopLag", "how late the event loop runs what is due, asked ten times a second")
MEMORY: Final = _level("ResidentMemory", "memory of the process", "Bytes")
REDIS_OPERATIONS: Final = _rate("RedisOperationsPerSecond", "commands sent to Redis, subscriptions excepted")
PROCESS: Final = (LOOP_LAG, MEMORY, REDIS_OPERATIONS)

# --- the websocket gateway ----------------------------------------------------------------------------------

CONNECTIONS: Final = _level("ActiveConnectionsPerTask", "open websockets, identified or not")
INCOMING: Final = _rate("IncomingMessagesPerSecond", "frames of clients")
OUTGOING: Final = _rate("OutgoingMessagesPerSecond", "frames handed to sockets")
DELIVERED: Final = _rate("DeliveredChangesPerSecond", "changes merged into sessions, one per session")
FRAMES_PER_MESSAGE: Final = _ratio(
    "FramesPerMessage", "frames handed out per change delivered: below 1, the tick merges"
)
FAN_OUT: Final = _ratio("FanOut", "sessions of this gateway per change that reaches it")
PUBLISHES: Final = _rate("PublishesPerSecond", "messages published to the bus")
BUS_LAG: Final = _values("PubSubLag", "from a processor's publish to the gateway's receipt")
DELIVERY: Final = _values(
    "EventToDelivery", "from a change's commit to the socket of a client that sees it; sampled"
)
SKIPPED: Final = _rate("SkippedPerSecond", "flushes left out: the client's last frame is still being sent")
FOREIGN: Final = _rate(
    "ForeignPerSecond", "changes of a processor that is not the session's (leases overlap)"
)
DROPPED: Final = _count("Dropped", "messages of the bus that could not be read")
RESYNCS: Final = _count("Resyncs", "sessions told to replace everything: overflow, or a lost subscriber")
OVERFLOWS: Final = _count("Overflows", "sessions with more pending than a client may have")
STALLED: Final = _count("Stalled", "clients closed because they do not read")
REFUSED: Final = _count(
    "Refused", "connections told to come back: the gateway is full, or they come too fast"
)
RECOVERED: Final = _count("Recovered", "reconnects that went on where they were")
NOT_RECOVERED: Final = _count("NotRecovered", "reconnects that had to start anew")
SNAPSHOTS: Final = _count("Snapshots", "snapshots read from PostgreSQL")
SNAPSHOT_FAILURES: Final = _count("SnapshotFailures", "snapshots that PostgreSQL did not answer")
SUBSCRIBER_LOST: Final = _count("SubscriberLost", "lost connections of the one subscriber")
NOTIFIED: Final = _rate("NotificationsPerSecond", "messages to users and channels, one per socket")
CONFLATED: Final = _count("Conflated", "messages whose place a newer one with the same key took")
DEFERRED: Final = _count("Deferred", "times that a feed was put off until its socket has caught up")
MESSAGES_LOST: Final = _count("MessagesLost", "feeds whose stream did not hold all: `recovered: false`")
GATEWAY: Final = (
    CONNECTIONS,
    INCOMING,
    OUTGOING,
    DELIVERED,
    FRAMES_PER_MESSAGE,
    FAN_OUT,
    PUBLISHES,
    BUS_LAG,
    DELIVERY,
    SKIPPED,
    FOREIGN,
    DROPPED,
    RESYNCS,
    OVERFLOWS,
    STALLED,
    REFUSED,
    RECOVERED,
    NOT_RECOVERED,
    SNAPSHOTS,
    SNAPSHOT_FAILURES,
    SUBSCRIBER_LOST,
    NOTIFIED,
    CONFLATED,
    DEFERRED,
    MESSAGES_LOST,
)

# --- the filter processor -----------------------------------------------------------------------------------

PROCESSED: Final = _rate("ProcessedUpdatesPerSecond", "changes matched")
AFFECTED: Final = _ratio("AffectedUsersPerUpdate", "sessions that a change is delivered to, or taken from")
STREAM_LAG: Final = _level(
    "StreamLag", "between the newest change on the stream and the newest one read", "Milliseconds"
)
GAPS: Final = _count("Gaps", "times that changes were read again from PostgreSQL")
DUPLICATES: Final = _count("Duplicates", "changes that came twice")
STALE: Final = _count("Stale", "changes that came after a newer one")
PUT_OFF: Final = _count("PutOff", "changes conflated to the slow tick: more sessions see them than the cap")
WAITING: Final = _level("EntitiesWaiting", "entities whose newest version waits for the slow tick")
SHARDS: Final = _level("ShardsHeld", "virtual shards this processor matches")
ENTITIES: Final = _level("Entities", "live entities known")
VIEWPORTS: Final = _level("Viewports", "sessions matched against")
PROCESSOR: Final = (
    PROCESSED,
    AFFECTED,
    PUBLISHES,
    STREAM_LAG,
    GAPS,
    DUPLICATES,
    STALE,
    DROPPED,
    PUT_OFF,
    WAITING,
    SHARDS,
    ENTITIES,
    VIEWPORTS,
)

# --- the API ------------------------------------------------------------------------------------------------

REQUESTS: Final = _rate("RequestsPerSecond", "requests answered, health checks excepted")
ERRORS: Final = _count("ServerErrors", "requests answered with 5xx")
RELAYED: Final = _rate("ChangesPerSecond", "changes relayed from the outbox")
OUTBOX_AGE: Final = _level("OutboxAge", "age of the oldest change that is not relayed yet", "Seconds")
OUTBOX_ROWS: Final = _level("OutboxRows", "changes that wait to be relayed, counted up to 10,000")
API: Final = (REQUESTS, ERRORS, RELAYED, OUTBOX_AGE, OUTBOX_ROWS)

#: By the name that each service has in its stack (the dimension Service).
SERVICES: Final[dict[str, tuple[Metric, ...]]] = {
    "websocket": (*GATEWAY, *PROCESS),
    "filter-processor": (*PROCESSOR, *PROCESS),
    "api": (*API, *PROCESS),
}
