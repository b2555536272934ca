"""A load balancer's listener rules as data, and which action a request gets: pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Forward:
    """To one of these target groups, by weight."""

    groups: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Redirect:
    """To another address; `#{host}` and the like keep a part of the request."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True)
class Fixed:
    """The load balancer's own answer."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | Fixed


@dataclass(frozen=True)
class Seen:
    """What a rule may look at."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # names in lower case
    query: Sequence[tuple[str, str]] = ()
    source: str = "127.0.0.1"


@dataclass(frozen=True)
class Rule:
    """All conditions hold: the action is taken."""

    priority: int
    conditions: tuple[Json, ...]
    action: Action


@dataclass
class Listener:
    """A port of the load balancer with its rules."""

    arn: str
    protocol: str
    port: int
    default: Action
    rules: list[Rule] = field(default_factory=list[Rule])

    def action(self, seen: Seen) -> Action:
        """The first rule by priority whose conditions all hold, else the default."""
        for rule in sorted(self.rules, key=lambda one: one.priority):
            if all(holds(condition, seen) for condition in rule.conditions):
                return rule.action
        return self.default


class UnsupportedRuleError(Exception):
    """A condition or an action that has no meaning on this machine."""


def listener(arn: str, inputs: Json) -> Listener:
    """From the inputs of an `aws:lb/listener:Listener`."""
    return Listener(
        arn=arn,
        protocol=str(inputs.get("protocol", "HTTP")),
        port=int(inputs.get("port", 80)),
        default=action(inputs["defaultActions"]),
    )


def rule(inputs: Json) -> Rule:
    """From the inputs of an `aws:lb/listenerRule:ListenerRule`."""
    conditions = tuple(inputs.get("conditions", ()))
    for condition in conditions:
        if not set(condition) & set(_CONDITIONS):
            raise UnsupportedRuleError(f"the condition {', '.join(condition)} is unknown")
    return Rule(int(inputs.get("priority", 50_000)), conditions, action(inputs["actions"]))


def action(actions: Sequence[Json]) -> Action:
    """The one action that answers; authentication actions before it have no meaning here."""
    for one in actions:
        kind = one.get("type")
        if kind == "forward":
            return _forward(one)
        if kind == "redirect":
            given: Json = one["redirect"]
            code = int(str(given.get("statusCode", "HTTP_302")).removeprefix("HTTP_"))
            names = ("protocol", "host", "port", "path", "query")
            return Redirect(code, **{name: str(given[name]) for name in names if given.get(name) is not None})
        if kind == "fixed-response":
            given = one["fixedResponse"]
            return Fixed(
                status=int(given.get("statusCode", 200)),
                content_type=str(given.get("contentType", "text/plain")),
                body=str(given.get("messageBody") or ""),
            )
    raise UnsupportedRuleError(
        f"none of the actions {[one.get('type') for one in actions]} answers a request"
    )


def _forward(one: Json) -> Forward:
    weighted: Json = one.get("forward") or {}
    groups: Sequence[Json] = weighted.get("targetGroups") or ()
    if groups:
        return Forward(tuple((str(group["arn"]), int(group.get("weight", 1))) for group in groups))
    return Forward(((str(one["targetGroupArn"]), 1),))


def holds(condition: Json, seen: Seen) -> bool:
    """One condition: any of its values suffices."""
    return all(
        _CONDITIONS[name](given, seen) for name, given in condition.items() if given and name in _CONDITIONS
    )


def _path(given: Json, seen: Seen) -> bool:
    return any(like(value, seen.path) for value in given["values"])


def _host(given: Json, seen: Seen) -> bool:
    host = seen.host.rpartition(":")[0] if re.search(r":\d+$", seen.host) else seen.host
    return any(like(value.lower(), host.lower()) for value in given["values"])


def _header(given: Json, seen: Seen) -> bool:
    found = seen.headers.get(str(given["httpHeaderName"]).lower())
    return found is not None and any(like(value.lower(), found.lower()) for value in given["values"])


def _method(given: Json, seen: Seen) -> bool:
    return seen.method in given["values"]


def _query(given: Sequence[Json], seen: Seen) -> bool:
    return any(
        like(str(one["value"]).lower(), value.lower()) and one.get("key", key).lower() == key.lower()
        for one in given
        for key, value in seen.query
    )


def _source(given: Json, seen: Seen) -> bool:
    address = ipaddress.ip_address(seen.source)
    return any(address in ipaddress.ip_network(value, strict=False) for value in given["values"])


_CONDITIONS: dict[str, Any] = {
    "pathPattern": _path,
    "hostHeader": _host,
    "httpHeader": _header,
    "httpRequestMethod": _method,
    "queryStrings": _query,
    "sourceIp": _source,
}


def like(pattern: str, text: str) -> bool:
    """The load balancer's wildcards: `*` any characters, `?` exactly one."""
    return _pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in text), re.DOTALL
    )


def location(redirect: Redirect, *, protocol: str, host: str, port: str, path: str, query: str) -> str:
    """The address of a redirect, the request's parts filled in."""
    parts = {"protocol": protocol, "host": host, "port": port, "path": path.lstrip("/"), "query": query}

    def fill(text: str) -> str:
        return re.sub(r"#\{(\w+)\}", lambda found: parts.get(found[1], ""), text)

    scheme, number = fill(redirect.protocol).lower(), fill(redirect.port)
    default = {"http": "80", "https": "443"}.get(scheme)
    target = (
        f"{scheme}://{fill(redirect.host)}{'' if number == default else f':{number}'}{fill(redirect.path)}"
    )
    words = fill(redirect.query)
    return f"{target}?{words}" if words else target
