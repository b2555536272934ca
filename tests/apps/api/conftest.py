"""The API for tests: wired as in production, on the real servers, called without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from httpx import ASGITransport, AsyncClient

from apps.api.app import build
from apps.api.settings import ApiSettings
from apps.platform import auth
from apps.platform.health import Health, State
from apps.platform.lifecycle import ServiceGroup
from apps.platform.ratelimit import RateLimiter

if TYPE_CHECKING:
    from lab.issuer import Issuer
    from lab.servers import RedisServer
    from tests.servers import Database


@dataclass
class Api:
    """A client and a way to sign in as anybody."""

    client: AsyncClient
    issuer: Issuer
    settings: ApiSettings
    health: Health

    def headers(
        self, user: str = "ann", scope: str | None = None, groups: Sequence[str] = ()
    ) -> dict[str, str]:
        """Headers of a signed-in user, by default one who may read and write."""
        chosen = scope or "entities:read entities:write filters:read filters:write"
        return {"authorization": f"Bearer {self.issuer.token(user, chosen, groups)}"}

    async def create(self, user: str = "ann", groups: Sequence[str] = (), **fields: Any) -> Any:
        """Create an entity and return it."""
        body = {"kind": "aircraft", "lat": 47.0, "lon": 8.0, **fields}
        answer = await self.client.post("/v1/entities", json=body, headers=self.headers(user, groups=groups))
        assert answer.status_code == 201, answer.text
        return answer.json()


def settings_of(database: Database, valkey: RedisServer, issuer: Issuer, **more: Any) -> dict[str, str]:
    """The environment of an API process."""
    return {
        "STACK": "test",
        "SERVICE": "api",
        **database.environment(),
        "DATABASE_POOL_SIZE": "6",
        "REDIS_HOST": valkey.host,
        "REDIS_PORT": str(valkey.port),
        "REDIS_PASSWORD": valkey.password,
        "REDIS_CA_FILE": str(valkey.ca_file),
        "AUTH_ISSUER": issuer.issuer,
        "AUTH_AUDIENCE": issuer.audience,
        "AUTH_JWKS_URL": "http://127.0.0.1:1/jwks.json",
        **{key.upper(): str(value) for key, value in more.items()},
    }


@pytest.fixture
def start(
    database: Database, valkey: RedisServer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Makes an API with some settings of its own (an async context manager)."""

    async def keys(_: str) -> bytes:
        return json.dumps(issuer.jwks()).encode()

    # the keys come without a server; everything else of verification is real
    monkeypatch.setattr(auth.KeySet.__init__, "__defaults__", (keys,))
    # a busy machine must not make the limiter give up on Redis
    monkeypatch.setitem(cast("Any", RateLimiter.__init__).__kwdefaults__, "answer_seconds", 30.0)

    @asynccontextmanager
    async def running(**more: Any) -> AsyncIterator[Api]:
        for name, value in settings_of(database, valkey, issuer, **more).items():
            monkeypatch.setenv(name, value)
        settings = ApiSettings()  # pyright: ignore[reportCallIssue]  # from the environment
        async with AsyncExitStack() as stack:
            health = Health()
            application = await stack.enter_async_context(build(settings, health))
            group = ServiceGroup(application.services)
            group.start()
            stack.push_async_callback(group.stop, 5)
            health.to(State.READY)
            transport = ASGITransport(application.asgi, raise_app_exceptions=False)
            client = await stack.enter_async_context(AsyncClient(transport=transport, base_url="http://api"))
            yield Api(client, issuer, settings, health)
            assert group.crash is None

    return running


@pytest.fixture
async def api(start: Callable[..., Any]) -> AsyncIterator[Api]:
    """An API with its default settings."""
    async with start() as running:
        yield running


async def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until `check` (async) answers something true, and return it."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):  # noqa: ASYNC110  # what is watched is in another server
            await asyncio.sleep(0.02)
        return found
