"""The load balancer of the stack, here: its own rules, stickiness and websockets on one port."""

from __future__ import annotations

import asyncio
import html
import itertools
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from lab.errors import LabError
from lab.run.rules import Fixed, Forward, Listener, Redirect, Rule, Seen, location
from lab.run.tunnel import Tunnel

HOST = "127.0.0.1"
IDLE_SECONDS = 60.0  # the load balancer's default; the graph's own value replaces it
CONNECT_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024
STICKY_COOKIE = "AWSALB"
STARTING_PAGE = """\
<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>starting</title>
<h1>The stack is starting</h1>"""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True)
class Target:
    """One process behind a target group."""

    id: str
    port: int
    ready: Callable[[], bool]


@dataclass
class TargetGroup:
    """Who may answer, in turn; a sticky one remembers in a cookie."""

    arn: str
    name: str
    sticky_seconds: int | None = None
    targets: list[Target] = field(default_factory=list[Target])
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    def pick(self, cookie: str | None) -> Target | None:
        """The target of the cookie while it is ready, else the next ready one."""
        ready = [target for target in self.targets if target.ready()]
        if not ready:
            return None
        if self.sticky_seconds and cookie:
            for target in ready:
                if cookie == f"{self.name}.{target.id}":
                    return target
        return ready[next(self._turn) % len(ready)]

    def cookies(self, target: Target) -> list[tuple[str, str]]:
        """What makes the next request come back to this target."""
        if not self.sticky_seconds:
            return []
        value = (
            f"{STICKY_COOKIE}={self.name}.{target.id}; Path=/; Max-Age={self.sticky_seconds}; SameSite=Lax"
        )
        return [("Set-Cookie", value)]


@dataclass
class Routes:
    """What the graph says; filled while the stack is made, read by every request."""

    listener: Listener | None = None
    groups: dict[str, TargetGroup] = field(default_factory=dict[str, TargetGroup])
    idle_seconds: float = IDLE_SECONDS
    _rules: dict[str, list[Rule]] = field(default_factory=dict[str, list[Rule]])

    def add_listener(self, listener: Listener) -> bool:
        """HTTPS before HTTP, the first of its kind before the next; whether this one serves now."""
        serves = self.listener is None or (self.listener.protocol != "HTTPS" and listener.protocol == "HTTPS")
        # rules may be known before their listener is the one that serves: both look at the same list
        listener.rules = self._rules.setdefault(listener.arn, [])
        if serves:
            self.listener = listener
        return serves

    def add_rule(self, listener_arn: str, rule: Rule) -> None:
        """A rule of a listener, whether or not that one serves."""
        self._rules.setdefault(listener_arn, []).append(rule)


# What the front answers itself, beside the graph's rules: path -> JSON body
Own = Callable[[web.Request], Any]


class Front:
    """One port for the whole stack."""

    def __init__(
        self,
        routes: Routes,
        status: Callable[[], tuple[bool, dict[str, Any]]],
        own: dict[str, Own] | None = None,
    ) -> None:
        self.routes = routes
        self._status = status
        self.own = own or {}
        self._tunnels: set[Tunnel] = set()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen; a port that is taken is an error that says by whom, as far as this user may see it."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise port_taken(port, error) from error
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and the port."""
        for tunnel in list(self._tunnels):
            tunnel.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/ready":
            ready, body = self._status()
            return web.json_response(
                body, status=200 if ready else 503, headers={"Cache-Control": "no-store"}
            )
        own = self.own.get(request.path)
        if own is not None:
            return await self._answer(request, own)
        if self.routes.listener is None:
            return self._starting(request)
        action = self.routes.listener.action(_seen(request))
        if isinstance(action, Forward):
            return await self._forward(request, action)
        if isinstance(action, Redirect):
            return self._redirect(request, action)
        return _fixed(action)

    async def _answer(self, request: web.Request, own: Own) -> web.StreamResponse:
        # a page of another site must not get a token by pointing its own name at this machine
        if request.host.rpartition(":")[0] not in {HOST, "localhost", "[::1]"}:
            return _problem(403, "this address answers only under 127.0.0.1 or localhost")
        try:
            body = await asyncio.to_thread(own, request)
        except LabError as error:
            return _problem(422, error.message)
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _starting(self, request: web.Request) -> web.Response:
        _, body = self._status()
        if "text/html" in request.headers.get("Accept", ""):
            rows = "".join(
                f"<li>{name}: {html.escape(str(why))}" for name, why in body.get("late", {}).items()
            )
            page = f"{STARTING_PAGE}<ul>{rows}</ul>"
            return web.Response(status=503, text=page, content_type="text/html", headers={"Retry-After": "1"})
        return web.json_response(body, status=503, headers={"Retry-After": "1"})

    def _redirect(self, request: web.Request, redirect: Redirect) -> web.Response:
        host, _, port = request.host.partition(":")
        url = location(
            redirect,
            protocol="http",
            host=host,
            port=port or "80",
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
        )
        return web.Response(status=redirect.status, headers={"Location": url})

    async def _forward(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        group = self._group(forward)
        target = group.pick(request.cookies.get(STICKY_COOKIE)) if group is not None else None
        if target is None and "text/html" in request.headers.get("Accept", ""):
            return self._starting(request)
        if group is None or target is None:
            which = (
                f"no ready target in the group {group.name}"
                if group
                else "the rule's group has no service here"
            )
            return _problem(503, which)
        upgrade = "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers
        try:
            if upgrade:
                return await self._tunnel(request, group, target)
            return await self._proxy(request, group, target)
        except (aiohttp.ClientConnectionError, ConnectionError, OSError, TimeoutError) as error:
            if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
                return _problem(504, f"{target.id} did not answer within {self.routes.idle_seconds:g} s")
            return _problem(502, f"{target.id} closed the connection")

    def _group(self, forward: Forward) -> TargetGroup | None:
        known = [
            (self.routes.groups[arn], weight) for arn, weight in forward.groups if arn in self.routes.groups
        ]
        if not known:
            return None
        if len(known) == 1:
            return known[0][0]
        return random.choices([group for group, _ in known], [weight for _, weight in known])[0]  # noqa: S311

    async def _proxy(self, request: web.Request, group: TargetGroup, target: Target) -> web.StreamResponse:
        """One request and its answer, streamed both ways."""
        if self._session is None:
            return _problem(503, "the front is stopping")
        async with self._session.request(
            request.method,
            f"http://{HOST}:{target.port}{request.raw_path}",
            headers=_headers(request),
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=self.routes.idle_seconds
            ),
        ) as answer:
            headers = CIMultiDict(_end_to_end(answer.headers.items()))
            for name, value in group.cookies(target):
                headers.add(name, value)
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _tunnel(self, request: web.Request, group: TargetGroup, target: Target) -> web.StreamResponse:
        """An upgraded connection: the head goes through once, then bytes."""
        transport = request.transport
        protocol = request.protocol
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError
        headers = [
            *_headers(request).items(),
            ("Connection", "Upgrade"),
            ("Upgrade", request.headers["Upgrade"]),
        ]
        lines = [f"{request.method} {request.raw_path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", errors="surrogateescape")
        tunnel = Tunnel()
        await tunnel.open(transport, target.port, head, group.cookies(target))
        self._tunnels.add(tunnel)
        try:
            await tunnel.closed.wait()
        finally:
            tunnel.close()
            self._tunnels.discard(tunnel)
            # the transport is not the server's any more: tell it that this connection is over
            protocol.connection_lost(None)
        return web.Response(status=101)


def _seen(request: web.Request) -> Seen:
    return Seen(
        method=request.method,
        host=request.host,
        path=request.rel_url.raw_path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=list(request.query.items()),
        source=request.remote or HOST,
    )


def _end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def _headers(request: web.Request) -> CIMultiDict[str]:
    headers = CIMultiDict(_end_to_end(request.headers.items()))
    before = headers.get("X-Forwarded-For")
    source = request.remote or HOST
    headers["X-Forwarded-For"] = f"{before}, {source}" if before else source
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Port"] = request.host.rpartition(":")[2]
    return headers


def _fixed(action: Fixed) -> web.Response:
    return web.Response(status=action.status, text=action.body, content_type=action.content_type)


def _problem(status: int, detail: str) -> web.Response:
    body = {"type": "about:blank", "status": status, "title": "local front", "detail": detail}
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/problem+json",
        headers={"Retry-After": "1"} if status == 503 else {},
    )


def port_taken(port: int, error: OSError) -> LabError:
    """Who holds the port, as far as this user may see."""
    from lab.run.ports import holder  # noqa: PLC0415  only on this path

    who = holder(port)
    other = port + 1 if 1024 <= port < 65535 else 8081
    return LabError(
        f"port {port} is taken{f' by {who}' if who else ''}",
        cause=f"the front cannot listen on {HOST}:{port}: {error.strerror or error}",
        hint=f"slipway up --port {other} (or set SLIPWAY_PORT), or end that process",
        code="port-taken",
    )
