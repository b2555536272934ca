"""Wiring of the API: the only module that brings settings, clients, services and routes together."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar, Request, Router, get
from litestar.di import Provide

from apps.api import console, reference
from apps.api.allow import AllowMiddleware
from apps.api.answers import answers
from apps.api.entities.routes import router as entity_router
from apps.api.entities.service import EntityService
from apps.api.figures.routes import FiguresReader
from apps.api.figures.routes import router as figure_router
from apps.api.filters.routes import router as filter_router
from apps.api.filters.service import FilterService
from apps.api.headers import SecurityHeadersMiddleware
from apps.api.limits import CallerMiddleware, Limits
from apps.api.messages.routes import router as message_router
from apps.api.messages.service import MessageService
from apps.api.params import Caller
from apps.api.requests import RequestLogMiddleware
from apps.api.structs import ExactStructs
from apps.contracts import metrics as figure
from apps.contracts.entities import ENTITY_FIELD
from apps.platform import errors, health, postgres
from apps.platform.auth import Identity, TokenVerifier
from apps.platform.figures import Figures
from apps.platform.metrics import Metrics
from apps.platform.outbox import OutboxRelay
from apps.platform.publish import Messages
from apps.platform.ratelimit import RateLimiter
from apps.platform.redis import open_redis
from apps.platform.serve import Application
from apps.platform.telemetry import TelemetryMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from litestar.types import ASGIApp

    from apps.api.settings import ApiSettings
    from apps.platform.health import Health
    from apps.platform.postgres import Pool


class Me(msgspec.Struct, frozen=True):
    """What the API understood of the caller's token."""

    user: str
    groups: list[str]
    scopes: list[str]


@get("/me", summary="Who you are here", tags=["you"], responses=answers())
async def me(caller: Caller) -> Me:
    """Your user, groups and scopes, as your token says."""
    return Me(caller.user, sorted(caller.groups), sorted(caller.scopes))


async def caller_of(request: Request[Any, Any, Any]) -> Identity:
    """The identity that the middleware found; a route without that middleware has none and fails."""
    caller: Any = request.scope["user"]
    if not isinstance(caller, Identity):
        raise TypeError("this route is outside authentication")
    return caller


@asynccontextmanager
async def build(settings: ApiSettings, state: Health) -> AsyncGenerator[Application]:
    """Open the clients, wire the app, close the clients."""
    async with AsyncExitStack() as stack:
        name = f"slipway-{settings.service}"
        pool = await stack.enter_async_context(postgres.open_pool(settings, name))
        redis = await stack.enter_async_context(open_redis(settings, name))
        relay = OutboxRelay(
            pool,
            redis,
            field=ENTITY_FIELD,
            batch=settings.outbox_batch,
            poll_seconds=settings.outbox_poll_seconds,
        )
        # Redis is not required: changes wait in the outbox and rate limits open while it is away
        state.require("postgresql", lambda: postgres.ping(pool))
        app = create_app(
            settings,
            state,
            pool=pool,
            relay=relay,
            verifier=TokenVerifier(settings),
            limits=Limits(settings, RateLimiter(redis)),
            messages=Messages(redis),
            live=FiguresReader(redis),
        )
        requests = RequestLogMiddleware(AllowMiddleware(app))
        metrics = Metrics(settings, figure.API, _figures(requests, relay), ask=[relay.look])
        traced = TelemetryMiddleware(requests)
        yield Application(
            SecurityHeadersMiddleware(traced), services=[relay, metrics, Figures(settings, redis, metrics)]
        )


def _figures(requests: RequestLogMiddleware, relay: OutboxRelay) -> dict[figure.Metric, Any]:
    return {
        figure.REQUESTS: lambda: requests.requests,
        figure.ERRORS: lambda: requests.errors,
        figure.RELAYED: lambda: relay.relayed,
        figure.OUTBOX_AGE: lambda: relay.age,
        figure.OUTBOX_ROWS: lambda: relay.backlog,
    }


def create_app(
    settings: ApiSettings,
    state: Health,
    *,
    pool: Pool,
    relay: OutboxRelay,
    verifier: TokenVerifier,
    limits: Limits,
    messages: Messages,
    live: FiguresReader,
) -> Litestar:
    """Build the Litestar app of given parts."""
    entities = EntityService(pool, relay.wake)
    filters = FilterService(pool, relay.wake)
    message_calls = MessageService(messages)

    def guarded(app: ASGIApp) -> ASGIApp:
        return CallerMiddleware(app, verifier, limits)

    api = Router(
        "/v1",
        route_handlers=[entity_router, filter_router, message_router, figure_router, me],
        # a function: Litestar copies the middleware of each layer, and clients can't be copied
        middleware=[guarded],
        dependencies={
            "caller": Provide(caller_of),
            "entities": Provide(lambda: entities, sync_to_thread=False),
            "filters": Provide(lambda: filters, sync_to_thread=False),
            "limits": Provide(lambda: limits, sync_to_thread=False),
            "live": Provide(lambda: live, sync_to_thread=False),
            "messages": Provide(lambda: message_calls, sync_to_thread=False),
        },
    )
    page = console.handlers(console.Assets()) if settings.console_enabled else []
    return Litestar(
        route_handlers=[api, *health.routes(state), *page],
        exception_handlers=errors.exception_handlers(
            unavailable=postgres.UNAVAILABLE, unstorable=postgres.UNSTORABLE
        ),
        openapi_config=reference.config(),
        plugins=[ExactStructs()],
        request_max_body_size=settings.max_body_bytes,
        # our own formatter is set up before; Litestar's would print requests, tokens included
        logging_config=None,
    )
