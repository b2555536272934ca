"""The front's own pages: the local issuer's keys and tokens, and what the console may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lab.issuer import DEMO_SCOPES

if TYPE_CHECKING:
    from aiohttp import web

    from lab.issuer import Issuer

DEMO_USER = "demo"
DEMO_GROUPS = ("demo",)


def own_pages(
    issuer: Callable[[], Issuer], url: str, stack: str
) -> Mapping[str, Callable[[web.Request], Mapping[str, Any]]]:
    """Path -> answer; the issuer is asked per request: its audience is known once the program has run."""

    def config(_: web.Request) -> Mapping[str, Any]:
        return {"demo": True, "stack": stack, "url": url}

    def jwks(_: web.Request) -> Mapping[str, Any]:
        return issuer().jwks()

    def discovery(_: web.Request) -> Mapping[str, Any]:
        return {"issuer": f"{url}/.slipway", "jwks_uri": f"{url}/.slipway/jwks.json"}

    def token(request: web.Request) -> Mapping[str, Any]:
        user = request.query.get("user", DEMO_USER)
        scope = request.query.get("scope") or " ".join(DEMO_SCOPES)
        groups = request.query.getall("group", list(DEMO_GROUPS))
        return {"token": issuer().token(user, scope, groups), "user": user, "scope": scope, "groups": groups}

    return {
        "/.slipway/config.json": config,
        "/.slipway/jwks.json": jwks,
        "/.slipway/.well-known/openid-configuration": discovery,
        "/.slipway/token": token,
    }
