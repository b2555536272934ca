"""One change is followed by its trace from the call of the API to the websocket, in envelopes and in logs."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import msgspec

from tests.apps.realtime.live import Process, World

ALPS = (5.0, 45.0, 11.0, 48.0)
TRACE = "a1" * 16
HEADERS = {"traceparent": f"00-{TRACE}-{'b2' * 8}-01", "x-correlation-id": "order-42"}


def post(api: Process, path: str, token: str, body: Any) -> dict[str, str]:
    """Call the API under our trace; the answer's headers."""
    request = urllib.request.Request(
        api.base + path,
        json.dumps(body).encode(),
        {"authorization": f"Bearer {token}", "content-type": "application/json", **HEADERS},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


def ours(fields: dict[str, Any]) -> bool:
    """Whether this is under the trace and the correlation id of the call."""
    return TRACE in fields.get("traceparent", "") and fields.get("correlation_id") == "order-42"


async def test_one_call_is_followed_to_the_websocket(world: World):
    """The delta carries the call's trace and correlation id; the logs of API, processor and gateway show them."""
    api, gateway, processor = await asyncio.gather(
        world.start("api").ready(),
        world.gateway(log_level="debug"),
        world.processor(log_level="debug"),
    )
    client = await world.connect(gateway)
    welcome = await client.identify(world.token(), traceparent=HEADERS["traceparent"], correlation_id="map-1")
    assert welcome["correlation_id"] == "map-1"
    await client.look_at(*ALPS)
    heard = world.redis.pubsub(ignore_subscribe_messages=True)
    heard.psubscribe("gw:*", "viewports:*", "filters:changed")
    body = {"id": "a", "kind": "aircraft", "lat": 46.0, "lon": 8.0}
    headers = await asyncio.to_thread(post, api, "/v1/entities", world.token(), body)
    assert TRACE in headers["traceparent"]
    assert headers["x-correlation-id"] == "order-42"
    delta = await client.until("delta")
    assert ours(delta)
    await asyncio.to_thread(post, api, "/v1/filters", world.token(), {"name": "all"})
    await client.send(type="viewport", west=5, south=45, east=11, north=48)
    assert (await client.until("snapshot"))["correlation_id"] == "map-1"
    await client.send(type="ping")
    assert (await client.until("pong"))["correlation_id"] == "map-1"
    assert _carried(heard) == {"gw": {"order-42", "map-1"}, "viewports": {"map-1"}, "filters": {"order-42"}}
    for process, event in (
        (api, "http.request"),
        (processor, "change.matched"),
        (gateway, "filters.changed"),
    ):
        assert any(line["event"] == event and ours(line) for line in process.events()), event
    opened = next(line for line in gateway.events() if line["event"] == "session.opened")
    assert (opened["correlation_id"], TRACE in opened["traceparent"]) == ("map-1", True)


def _carried(heard: Any) -> dict[str, set[str]]:
    """The correlation ids of every envelope heard, by the first word of its channel."""
    found: dict[str, set[str]] = {}
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        # None for its own subscriptions too
        message = heard.get_message(timeout=0.1)
        if message is None:
            continue
        envelope = msgspec.msgpack.decode(message["data"])
        # the last field but one, after which only the version comes
        trace = envelope["trace"] if isinstance(envelope, dict) else envelope[-2]
        channel = message["channel"].decode().partition(":")[0]
        found.setdefault(channel, set()).add(trace.get("correlation_id", "no trace"))
    return found
