"""The local front on tiny services: the graph's rules, stickiness, streaming, websockets, and who is late."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lab.errors import LabError
from lab.run import rules
from lab.run.front import Front, Routes, Target, TargetGroup
from lab.run.rules import Fixed, Forward, Redirect, Seen


def request(path: str = "/", **more: Any) -> Seen:
    """A GET of `path`."""
    return Seen(**{"method": "GET", "host": "map.example.com:8080", "path": path, **more})


def forward(arn: str) -> list[dict[str, Any]]:
    """A forward action as pulumi-aws has it."""
    return [{"type": "forward", "targetGroupArn": arn}]


@pytest.mark.parametrize(
    ("condition", "seen", "expected"),
    [
        ({"pathPattern": {"values": ["/ws", "/ws/*"]}}, request("/ws"), True),
        ({"pathPattern": {"values": ["/ws", "/ws/*"]}}, request("/ws/1"), True),
        ({"pathPattern": {"values": ["/ws"]}}, request("/wsx"), False),
        ({"pathPattern": {"values": ["/v?/[a]*"]}}, request("/v1/[a]b"), True),
        ({"pathPattern": {"values": ["/WS"]}}, request("/ws"), False),
        ({"hostHeader": {"values": ["*.Example.com"]}}, request(), True),
        ({"hostHeader": {"values": ["*.other.com"]}}, request(), False),
        (
            {"httpHeader": {"httpHeaderName": "X-Api", "values": ["v1*"]}},
            request(headers={"x-api": "V12"}),
            True,
        ),
        ({"httpHeader": {"httpHeaderName": "X-Api", "values": ["v1*"]}}, request(), False),
        ({"httpRequestMethod": {"values": ["POST"]}}, request(), False),
        ({"queryStrings": [{"key": "a", "value": "1"}]}, request(query=[("A", "1")]), True),
        ({"queryStrings": [{"value": "1*"}]}, request(query=[("b", "2")]), False),
        ({"sourceIp": {"values": ["10.0.0.0/8"]}}, request(source="10.1.2.3"), True),
    ],
)
def test_conditions(condition: dict[str, Any], seen: Seen, expected: bool) -> None:
    """Each kind of condition means what it means on AWS."""
    assert rules.holds(condition, seen) is expected


def test_rules_go_by_priority_and_all_conditions_hold() -> None:
    """The lowest number wins, whatever the order of registration; a rule needs all its conditions."""
    listener = rules.listener("l", {"port": 443, "protocol": "HTTPS", "defaultActions": forward("api")})
    paths = {"pathPattern": {"values": ["/ws*"]}}
    for priority, conditions, arn in (
        (20, [paths], "late"),
        (10, [paths, {"hostHeader": {"values": ["map.*"]}}], "early"),
    ):
        listener.rules.append(
            rules.rule({"priority": float(priority), "conditions": conditions, "actions": forward(arn)})
        )
    assert listener.action(request("/ws")) == Forward((("early", 1),))
    assert listener.action(request("/ws", host="other")) == Forward((("late", 1),))
    assert listener.action(request("/v1")) == Forward((("api", 1),))


def test_actions() -> None:
    """Weighted forward, redirect and fixed response are read from the graph's own shape."""
    weighted = {
        "type": "forward",
        "forward": {"targetGroups": [{"arn": "a", "weight": 3.0}, {"arn": "b", "weight": 1}]},
    }
    assert rules.action([{"type": "authenticate-oidc"}, weighted]) == Forward((("a", 3), ("b", 1)))
    redirect = rules.action(
        [{"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}}]
    )
    assert redirect == Redirect(301, protocol="HTTPS", port="443")
    assert isinstance(redirect, Redirect)
    url = rules.location(redirect, protocol="http", host="x", port="80", path="/a/b", query="c=1")
    assert url == "https://x/a/b?c=1"
    assert rules.action(
        [
            {
                "type": "fixed-response",
                "fixedResponse": {"contentType": "text/plain", "messageBody": "no", "statusCode": "404"},
            }
        ]
    ) == Fixed(404, "text/plain", "no")


def test_a_rule_that_cannot_be_played_says_so() -> None:
    """An unknown condition or action is an error, never a rule that silently matches."""
    with pytest.raises(rules.UnsupportedRuleError, match="condition jwtClaim"):
        rules.rule({"conditions": [{"jwtClaim": {}}], "actions": forward("a")})
    with pytest.raises(rules.UnsupportedRuleError, match="authenticate-oidc"):
        rules.action([{"type": "authenticate-oidc"}])


class Backend:
    """A service that says who it is, echoes websockets and streams."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.port = 0
        self.seen: list[dict[str, str]] = []
        self.close_code: int | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/ws", self.socket)
        app.router.add_get("/stream", self.stream)
        app.router.add_route("*", "/{path:.*}", self.who)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]

    async def who(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        body = await request.read()
        return web.json_response({"who": self.name, "path": request.raw_path, "bytes": len(body)})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.2)
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        self.seen.append(dict(request.headers))
        ws = web.WebSocketResponse(protocols=("v1",), max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            if message.data == "bye":
                await ws.close(code=1012, message=b'{"retry_ms":5}')
            elif isinstance(message.data, bytes):
                await ws.send_bytes(message.data)
            else:
                await ws.send_str(f"{self.name}:{message.data}")
        self.close_code = ws.close_code
        return ws

    def target(self) -> Target:
        return Target(self.name, self.port, lambda: self.ready)


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    """Two replicas of one service and one of another."""
    made = [Backend(name) for name in ("api-1", "api-2", "websocket")]
    for backend in made:
        await backend.start()
    yield made
    for backend in made:
        await backend.runner.cleanup()


@pytest.fixture
async def front(backends: list[Backend]) -> AsyncIterator[Front]:
    """The front with a rule for /ws, as the realtime tier declares it."""
    listener = rules.listener(
        "https", {"port": 443, "protocol": "HTTPS", "defaultActions": forward("tg-api")}
    )
    for priority, path, actions in (
        (1, "/ws", forward("tg-ws")),
        (2, "/stream", forward("tg-ws")),
        (
            3,
            "/gone",
            [
                {
                    "type": "fixed-response",
                    "fixedResponse": {"contentType": "text/plain", "messageBody": "no", "statusCode": "410"},
                }
            ],
        ),
        (4, "/old", [{"type": "redirect", "redirect": {"path": "/new", "statusCode": "HTTP_302"}}]),
        (5, "/nowhere", forward("tg-unknown")),
    ):
        listener.rules.append(
            rules.rule(
                {
                    "priority": priority,
                    "conditions": [{"pathPattern": {"values": [path]}}],
                    "actions": actions,
                }
            )
        )
    groups = {
        "tg-api": TargetGroup("tg-api", "api", None, [backend.target() for backend in backends[:2]]),
        "tg-ws": TargetGroup("tg-ws", "ws", 120, [backends[2].target()]),
    }
    made = Front(
        Routes(listener, groups),
        lambda: (True, {"status": "ready"}),
        {"/.slipway/config.json": lambda _request: {"demo": True}},
    )
    await made.start(0)
    yield made
    await made.stop()


@pytest.fixture
async def client(front: Front) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser before the front."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{front.port}", cookie_jar=jar) as session:
        yield session


async def test_replicas_answer_in_turn_and_the_request_is_whole(client, backends: list[Backend]) -> None:
    """Round robin over ready replicas; path, query and body arrive as sent, with the forwarded headers."""
    who = []
    for _ in range(4):
        async with client.post("/v1/a%2Fb?x=%20y&x=2", data=b"z" * 300_000) as answer:
            body = await answer.json()
            assert (body["path"], body["bytes"]) == ("/v1/a%2Fb?x=%20y&x=2", 300_000)
            who.append(body["who"])
    assert who[:2] == who[2:]
    assert set(who) == {"api-1", "api-2"}
    headers = backends[0].seen[0]
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["Content-Length"] == "300000"


async def test_unready_targets_get_nothing(client, backends: list[Backend]) -> None:
    """A replica that is not ready is left out; with none left the answer is 503 and says which group."""
    backends[0].ready = False
    assert {(await (await client.get("/")).json())["who"] for _ in range(3)} == {"api-2"}
    backends[1].ready = False
    answer = await client.get("/")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert (await answer.json(content_type=None))["detail"] == "no ready target in the group api"


async def test_a_dead_service_is_502_and_a_group_without_service_503(client, backends: list[Backend]) -> None:
    """A closed port and a target group that nothing here serves have different answers."""
    await backends[0].runner.cleanup()
    await backends[1].runner.cleanup()
    assert (await client.get("/")).status == 502
    assert (await client.get("/nowhere")).status == 503


async def test_fixed_and_redirect(client) -> None:
    """The load balancer's own answers come from the front."""
    gone = await client.get("/gone")
    assert (gone.status, await gone.text()) == (410, "no")
    old = await client.get("/old?a=1", allow_redirects=False)
    assert old.status == 302
    assert old.headers["Location"].endswith("/new?a=1")


async def test_answers_stream(client) -> None:
    """A chunk reaches the client when the service writes it, not when the answer is complete."""
    began = asyncio.get_running_loop().time()
    async with client.get("/stream") as answer:
        first = await answer.content.readany()
        assert first.startswith(b"data: 0")
        assert asyncio.get_running_loop().time() - began < 0.35
        assert (await answer.read()).endswith(b"data: 2\n\n")


async def test_websocket_with_subprotocol_stickiness_and_close(
    client, backends: list[Backend], caplog
) -> None:
    """The upgrade goes through with its subprotocol and cookie; the service's close code and reason come back."""
    with caplog.at_level(logging.WARNING):
        async with client.ws_connect("/ws", protocols=("v1",)) as ws:
            assert ws.protocol == "v1"
            await ws.send_str("hello")
            assert await ws.receive_str() == "websocket:hello"
            await ws.send_str("bye")
            message = await ws.receive()
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (1012, '{"retry_ms":5}')
        cookies = {cookie.key: cookie.value for cookie in client.cookie_jar}
        assert cookies == {"AWSALB": "ws.websocket"}
        await asyncio.sleep(0.05)
    assert not caplog.records
    assert "X-Forwarded-For" in backends[2].seen[-1]


async def test_websocket_client_that_vanishes_ends_the_service_side(client, backends: list[Backend]) -> None:
    """A client whose connection breaks does not leave the service with a dead socket."""
    ws = await client.ws_connect("/ws")
    await ws.send_str("x")
    await ws.receive_str()
    ws._response.connection.transport.abort()  # type: ignore[union-attr]
    for _ in range(100):
        if backends[2].close_code is not None:
            break
        await asyncio.sleep(0.02)
    assert backends[2].close_code == 1006


async def test_websocket_backpressure_loses_nothing(client) -> None:
    """32 MiB echoed to a client that reads late arrive whole: buffers stop the sender, frames are not dropped."""
    async with client.ws_connect("/ws", max_msg_size=0) as ws:
        blocks = [bytes([number]) * (1024 * 1024) for number in range(32)]

        async def send() -> None:
            for block in blocks:
                await ws.send_bytes(block)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.3)
        for block in blocks:
            assert await ws.receive_bytes() == block
        await sending


async def test_stickiness_survives_until_the_target_is_gone(
    client, front: Front, backends: list[Backend]
) -> None:
    """With a cookie the same replica answers every time, and another one takes over when it is not ready."""
    front.routes.groups["tg-api"].sticky_seconds = 60
    first = (await (await client.get("/")).json())["who"]
    assert {(await (await client.get("/")).json())["who"] for _ in range(4)} == {first}
    next(backend for backend in backends if backend.name == first).ready = False
    assert (await (await client.get("/")).json())["who"] != first


async def test_ready_and_own_pages(client, front: Front) -> None:
    """/ready is the whole stack's; /.slipway answers under a loopback name only."""
    assert (await client.get("/ready")).status == 200
    front._status = lambda: (False, {"status": "starting", "late": {"api": "<b>"}})
    late = await client.get("/ready")
    assert late.status == 503
    assert (await late.json())["late"] == {"api": "<b>"}
    assert await (await client.get("/.slipway/config.json")).json() == {"demo": True}
    foreign = await client.get("/.slipway/config.json", headers={"Host": "evil.example:80"})
    assert foreign.status == 403
    front.routes.listener = None
    page = await client.get("/", headers={"Accept": "text/html"})
    assert page.status == 503
    assert "api: &lt;b&gt;" in await page.text()


async def test_port_taken_names_the_holder() -> None:
    """The error of a taken port has this very process in it, and a way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError) as caught:
            await Front(Routes(), lambda: (True, {})).start(port)
    assert caught.value.message.startswith(f"port {port} is taken by pid ")
    assert caught.value.code == "port-taken"
    assert "SLIPWAY_PORT" in (caught.value.hint or "")
    assert json.dumps(caught.value.document())
