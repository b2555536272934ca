"""Wires the filter processor: the only place that knows its adapters."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from litestar import Litestar

from apps.contracts import metrics as figure
from apps.contracts.bus import LEASES_CHANNEL
from apps.contracts.views import KindRules
from apps.filter_processor.conflation import Conflation
from apps.filter_processor.consumer import Consumer
from apps.filter_processor.engine import Engine
from apps.filter_processor.intake import Intake
from apps.filter_processor.leases import Leases
from apps.filter_processor.matcher import Matcher
from apps.filter_processor.publisher import Publisher
from apps.filter_processor.store import EntityStore
from apps.platform import health as healths
from apps.platform.figures import Figures
from apps.platform.metrics import Metrics
from apps.platform.pacing import run_until
from apps.platform.postgres import open_pool, ping
from apps.platform.redis import on_demoted, open_redis
from apps.platform.serve import Application
from apps.platform.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from apps.filter_processor.settings import FilterProcessorSettings
    from apps.platform.health import Health


class _AfterLoad:
    """A service that starts once the first state is complete: until then nobody may wait for us."""

    def __init__(self, leases: Leases, consumer: Consumer) -> None:
        self.name = leases.name
        self._leases = leases
        self._consumer = consumer

    async def run(self, stop: asyncio.Event) -> None:
        """Wait, then do what the wrapped service does."""
        await run_until(stop, self._consumer.loaded.wait())
        if not stop.is_set():
            await self._leases.run(stop)


@asynccontextmanager
async def build(settings: FilterProcessorSettings, health: Health) -> AsyncGenerator[Application]:
    """Open what the processor needs and close it at the end."""
    processor = secrets.token_hex(6)
    async with (
        open_pool(settings, settings.service) as pool,
        open_redis(settings, f"{settings.service}-{processor}") as redis,
    ):
        tick = settings.tick_milliseconds / 1000
        matcher = Matcher(KindRules(settings.kind_rules), settings.grid_viewports)
        engine = Engine(matcher, settings.max_tombstones, settings.max_affected)
        publisher = Publisher(redis, processor, tick, settings.max_outgoing_bytes)
        slow = Conflation(
            engine,
            publisher,
            tick_seconds=settings.conflate_milliseconds / 1000,
            deliveries=settings.conflate_deliveries,
        )
        consumer = Consumer(
            redis,
            EntityStore(pool),
            engine,
            publisher,
            batch=settings.stream_batch,
            tick_seconds=tick,
            catch_up_seconds=settings.catch_up_seconds,
        )
        intake = Intake(redis, matcher, publisher)
        leases = Leases(redis, intake, processor, settings.lease_seconds)
        subscriber = Subscriber(settings, f"{settings.service}-{processor}-sub", intake.message, intake.up)
        subscriber.add(LEASES_CHANNEL)
        intake.subscriber, intake.prompt = subscriber, leases.prompt
        publisher.lost = consumer.restate = intake.restate

        on_demoted(redis, subscriber.reconnect)
        metrics = Metrics(settings, figure.PROCESSOR, _figures(engine, publisher, consumer, intake, leases))
        figures = Figures(settings, redis, metrics)

        async def loaded() -> None:
            await consumer.loaded.wait()

        health.require("postgres", lambda: ping(pool))
        health.require("subscriber", subscriber.check)
        yield Application(
            asgi=Litestar(healths.routes(health), openapi_config=None, logging_config=None),
            services=(
                publisher,
                subscriber,
                consumer,
                slow,
                intake,
                _AfterLoad(leases, consumer),
                metrics,
                figures,
            ),
            started=(loaded,),
        )


def _figures(
    engine: Engine, publisher: Publisher, consumer: Consumer, intake: Intake, leases: Leases
) -> dict[figure.Metric, Any]:
    counts = engine.counts
    return {
        figure.PROCESSED: lambda: counts.applied,
        figure.AFFECTED: (lambda: counts.deliveries, lambda: counts.applied),
        figure.PUBLISHES: lambda: publisher.published,
        figure.STREAM_LAG: lambda: consumer.lag_milliseconds,
        figure.GAPS: lambda: consumer.gaps,
        figure.DUPLICATES: lambda: counts.duplicates,
        figure.STALE: lambda: counts.stale,
        figure.DROPPED: lambda: consumer.undecodable + intake.undecodable,
        figure.PUT_OFF: lambda: counts.conflated,
        figure.WAITING: lambda: engine.waiting,
        figure.SHARDS: lambda: len(leases.held),
        figure.ENTITIES: lambda: engine.size,
        figure.VIEWPORTS: lambda: len(engine.matcher.viewers),
    }
