"""Wires the gateway: Litestar for handshake and routing, our own loop for frames."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, WebSocket, websocket

from apps.contracts import metrics as figure
from apps.contracts.bus import gateway_channel
from apps.contracts.channels import WIRE_PREFIX
from apps.contracts.filters import FILTERS_CHANNEL
from apps.contracts.views import KindRules
from apps.platform import health as healths
from apps.platform.auth import TokenVerifier
from apps.platform.errors import exception_handlers
from apps.platform.figures import Figures
from apps.platform.metrics import Metrics
from apps.platform.postgres import open_pool, ping
from apps.platform.redis import on_demoted, open_redis
from apps.platform.serve import Application
from apps.platform.subscriber import Subscriber
from apps.platform.telemetry import TelemetryMiddleware
from apps.realtime import sse
from apps.realtime.bus import Bus
from apps.realtime.channels import Channels
from apps.realtime.connection import Connection
from apps.realtime.gateway import Gateway
from apps.realtime.hub import Hub
from apps.realtime.messages import Messages
from apps.realtime.presence import Presence
from apps.realtime.raw import RawChannels, raw
from apps.realtime.session import Bounded
from apps.realtime.snapshots import Snapshots
from apps.realtime.store import SnapshotStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from litestar.types import ASGIApp

    from apps.platform.health import Health
    from apps.realtime.hub import Client
    from apps.realtime.session import Session
    from apps.realtime.settings import RealtimeSettings

_CHANNEL: Final = WIRE_PREFIX.encode()


@asynccontextmanager
async def build(settings: RealtimeSettings, health: Health) -> AsyncGenerator[Application]:
    """Open what the gateway needs and close it at the end."""
    gateway_id = secrets.token_hex(6)
    name = f"slipway-{settings.service}-{gateway_id}"
    async with open_pool(settings, name) as pool, open_redis(settings, name) as redis:
        tick = settings.tick_milliseconds / 1000
        hub = Hub(
            gateway_id,
            Bounded(settings.max_pending_bytes, settings.max_entities, settings.ring_bytes),
            tick_seconds=tick,
            stall_seconds=settings.stall_seconds,
            max_detached=settings.max_detached if settings.resume_seconds else 0,
            slot_rest_seconds=2 * settings.viewport_ttl_seconds,
        )
        store = SnapshotStore(
            pool,
            KindRules(settings.kind_rules),
            scan_limit=settings.scan_limit,
            max_entities=settings.max_entities,
        )
        snapshots = Snapshots(
            hub,
            store,
            at_once=max(1, settings.database_pool_size - 2),
            pause_seconds=settings.resync_seconds,
        )
        bus = Bus(
            hub,
            redis,
            tick_seconds=tick,
            ttl_seconds=settings.viewport_ttl_seconds,
            active_seconds=settings.active_seconds,
        )

        def heard(channel: bytes, data: bytes) -> None:
            if channel.startswith(_CHANNEL):
                messages.broadcast(data)
            else:
                bus.message(channel, data)

        def up(first: bool) -> None:
            bus.up(first)
            messages.up(first)

        subscriber = Subscriber(settings, f"{name}-sub", heard, up)
        subscriber.add(gateway_channel(gateway_id), FILTERS_CHANNEL)
        channels = Channels()
        presence = (
            Presence(
                hub,
                redis,
                channels,
                seconds=settings.presence_seconds,
                ttl_seconds=settings.presence_ttl_seconds,
            )
            if settings.presence_enabled
            else None
        )
        messages = Messages(
            hub,
            redis,
            subscriber,
            channels,
            presence,
            tick_seconds=tick,
            max_bytes=settings.max_pending_bytes,
        )
        gateway = Gateway(
            settings, hub=hub, bus=bus, store=store, verifier=TokenVerifier(settings), messages=messages
        )
        _connect(hub, snapshots, bus, gateway)
        on_demoted(redis, subscriber.reconnect)
        metrics = Metrics(settings, figure.GATEWAY, _figures(gateway, bus, snapshots, subscriber, messages))
        figures = Figures(settings, redis, metrics)
        health.require("postgres", lambda: ping(pool))
        health.require("subscriber", subscriber.check)
        yield Application(
            asgi=RawChannels(_litestar(gateway, health)),
            services=(
                subscriber,
                hub,
                bus,
                messages,
                *([presence] if presence else []),
                snapshots,
                gateway,
                metrics,
                figures,
            ),
            drain=(gateway.drain,),
            started=(_up(subscriber),),
        )


def _figures(
    gateway: Gateway, bus: Bus, snapshots: Snapshots, subscriber: Subscriber, messages: Messages
) -> dict[figure.Metric, Any]:
    hub = gateway.hub
    counts = hub.counts
    return {
        figure.CONNECTIONS: lambda: len(gateway.connections),
        figure.INCOMING: lambda: counts.received,
        figure.OUTGOING: lambda: counts.frames,
        figure.DELIVERED: lambda: counts.deliveries,
        figure.FRAMES_PER_MESSAGE: (lambda: counts.frames, lambda: counts.deliveries),
        figure.FAN_OUT: (lambda: counts.deliveries, lambda: counts.items),
        figure.PUBLISHES: lambda: bus.published,
        figure.BUS_LAG: hub.bus_lag,
        figure.DELIVERY: hub.delivery,
        figure.SKIPPED: lambda: counts.skipped,
        figure.FOREIGN: lambda: counts.foreign,
        figure.DROPPED: lambda: bus.undecodable + messages.undecodable,
        figure.RESYNCS: lambda: counts.resyncs,
        figure.OVERFLOWS: lambda: counts.overflows,
        figure.STALLED: lambda: counts.stalled,
        figure.REFUSED: lambda: gateway.refused,
        figure.RECOVERED: lambda: counts.recovered,
        figure.NOT_RECOVERED: lambda: counts.not_recovered,
        figure.SNAPSHOTS: lambda: snapshots.loaded,
        figure.SNAPSHOT_FAILURES: lambda: snapshots.failed,
        figure.SUBSCRIBER_LOST: lambda: subscriber.lost,
        figure.NOTIFIED: lambda: messages.channels.counts.queued,
        figure.CONFLATED: lambda: messages.channels.counts.conflated,
        figure.DEFERRED: lambda: messages.channels.counts.deferred,
        figure.MESSAGES_LOST: lambda: messages.channels.counts.lost,
    }


def _connect(hub: Hub, snapshots: Snapshots, bus: Bus, gateway: Gateway) -> None:
    def forgotten(session: Session) -> None:
        snapshots.forget(session.id)
        bus.remove(session)

    def load(client: Client) -> None:
        snapshots.request(client)

    hub.load, hub.forgotten = load, forgotten
    bus.filters_changed = gateway.filters_changed
    bus.posted, bus.emptied = gateway.messages.posted, gateway.messages.emptied


def _up(subscriber: Subscriber) -> Any:
    async def up() -> None:
        await subscriber.up.wait()

    return up


def _litestar(gateway: Gateway, health: Health) -> ASGIApp:
    @websocket("/ws")
    async def serve_socket(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        receive, send = raw(socket.scope)
        refusal = gateway.refusal()
        if refusal is not None:
            code, reason = refusal
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        connection = Connection(gateway, receive, send)
        gateway.connections.add(connection)
        await connection.run()

    return Litestar(
        [serve_socket, sse.route(gateway), *healths.routes(health)],
        openapi_config=None,
        logging_config=None,
        middleware=[TelemetryMiddleware],
        exception_handlers=exception_handlers(),
    )
