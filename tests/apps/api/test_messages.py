"""Sending over HTTP: who may, what is refused, and that a key sends once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from apps.contracts.channels import channel_key, decode_message, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apps.api.conftest import Api

SERVICE = "messages:write messages:admin"


async def test_a_message_is_accepted_under_its_trace(api: Api, valkey: Any) -> None:
    """It waits in the user's inbox with name, data and the caller's correlation id; its key sends it once."""
    headers = {
        **api.headers("robot", SERVICE),
        "x-correlation-id": "order-7",
        "idempotency-key": "order-7/shipped",
    }
    body = {"name": "notification", "data": {"text": "shipped"}}
    first = await api.client.post("/v1/users/ann/messages", json=body, headers=headers)
    assert (first.status_code, first.json()["gateways"], first.json()["duplicate"]) == (202, 0, False)
    again = await api.client.post("/v1/users/ann/messages", json=body, headers=headers)
    assert (again.json()["id"], again.json()["duplicate"]) == (first.json()["id"], True)
    with redis.Redis.from_url(valkey.admin_url()) as connection:
        entries: Any = connection.xrange(user_key("ann", "inbox"))
        ttl: Any = connection.pttl(user_key("ann", "inbox"))
    ((place, fields),) = entries
    message = decode_message(fields[b"m"])
    assert (place.decode(), message.name, message.data) == (
        first.json()["id"],
        "notification",
        b'{"text":"shipped"}',
    )
    assert message.trace.correlation_id == "order-7"
    assert 3_500_000 < ttl <= 3_600_000
    assert first.headers["ratelimit-limit"] == "200"


async def test_progress_takes_the_place_of_older_progress(api: Api, valkey: Any) -> None:
    """Of a job's messages the newest stays; one with a lower sequence is told that it came too late."""
    headers = api.headers("robot", SERVICE)
    answers: list[Any] = []
    for sequence in (1, 3, 2):
        body = {"name": "job.progress", "data": sequence, "conflate": {"key": "job-7", "sequence": sequence}}
        answers.append(
            (await api.client.post("/v1/channels/public.jobs/messages", json=body, headers=headers)).json()
        )
    assert [answer["superseded"] for answer in answers] == [False, False, True]
    with redis.Redis.from_url(valkey.admin_url()) as connection:
        entries: Any = connection.xrange(channel_key("public.jobs", "history"))
    assert [decode_message(fields[b"m"]).data for _, fields in entries] == [b"3"]


async def test_who_may_send_to_whom(api: Api) -> None:
    """Without the scope nobody; with it to oneself and one's groups; with the admin's to everybody."""
    body = {"name": "notification", "data": None}
    for scope, groups, path, code in (
        ("entities:read", ("red",), "/v1/users/ann/messages", "scope.missing"),
        ("messages:admin", ("red",), "/v1/users/ann/messages", "scope.missing"),
        ("messages:write", ("red",), "/v1/users/ann/messages", ""),
        ("messages:write", ("red",), "/v1/users/bob/messages", "message.forbidden"),
        ("messages:write", ("red",), "/v1/channels/group.red.chat/messages", ""),
        ("messages:write", ("red",), "/v1/channels/group.blue.chat/messages", "message.forbidden"),
        ("messages:write", ("red",), "/v1/channels/public.news/messages", ""),
        ("messages:write", ("red",), "/v1/channels/news/messages", "channel.unknown"),
        (SERVICE, (), "/v1/users/bob%7Cx@y/messages", ""),
        (SERVICE, (), f"/v1/users/{'u' * 257}/messages", "user.unknown"),
        (SERVICE, (), "/v1/channels/group.blue.chat/messages", ""),
    ):
        answer = await api.client.post(path, json=body, headers=api.headers("ann", scope, groups))
        assert answer.json().get("code", "") == code, (path, answer.text)
        expected = {"": 202, "channel.unknown": 404, "user.unknown": 404}.get(code, 403)
        assert answer.status_code == expected


async def test_what_is_no_message_is_refused(api: Api) -> None:
    """Too large, badly named and unknown fields are named as other bodies' mistakes are."""
    headers = api.headers("robot", SERVICE)
    for body, status, code in (
        ({"name": "n", "data": "x" * 16_383}, 413, "message.too_large"),
        ({"name": "n", "data": "x" * 16_382}, 202, None),
        ({"name": "No"}, 422, "request.invalid"),
        ({"name": "n", "conflate": {"key": "a b"}}, 422, "request.invalid"),
        ({"name": "n", "text": 1}, 422, "request.invalid"),
    ):
        answer = await api.client.post("/v1/users/ann/messages", json=body, headers=headers)
        assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    bad = await api.client.post(
        "/v1/users/ann/messages", json={"name": "n"}, headers={**headers, "idempotency-key": "a b"}
    )
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "idempotency_key")


async def test_messages_are_limited_per_sender(start: Callable[..., Any]) -> None:
    """Who has used up its messages waits; others do not."""
    async with start(message_rate_per_second=0.5, message_burst=2) as api:
        codes = [
            (
                await api.client.post(
                    "/v1/channels/public.a/messages", json={"name": "n"}, headers=api.headers(user, SERVICE)
                )
            ).status_code
            for user in ("ann", "ann", "ann", "bob")
        ]
        assert codes == [202, 202, 429, 202]


async def test_without_redis_the_sender_is_told_to_come_back(start: Callable[..., Any]) -> None:
    """Nothing is kept for later: 503 with Retry-After, and what sending again with the same key means."""
    async with start(redis_port=1) as api:
        answer = await api.client.post(
            "/v1/channels/public.a/messages", json={"name": "n"}, headers=api.headers("ann", SERVICE)
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "Idempotency-Key" in answer.json()["detail"]
