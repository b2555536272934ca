"""HTTP of figures: what every process has done during the last seconds, for who may operate the stack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency

from apps.api.answers import answers
from apps.api.params import Caller
from apps.platform.errors import UnavailableError
from apps.platform.figures import newest
from apps.platform.redis import RedisError

if TYPE_CHECKING:
    from apps.contracts.figures import Sample
    from apps.platform.redis import Redis

READ: Final = "figures:read"
_ANSWER_SECONDS: Final = 3.0


class SpreadView(msgspec.Struct, frozen=True):
    """A distribution in milliseconds: median, 99th percentile, and how many values it is of."""

    p50: float
    p99: float
    count: int


class ProcessView(msgspec.Struct, frozen=True):
    """One process: `at` is the time of its newest figures, in milliseconds since the epoch."""

    service: str
    instance: str
    at: int
    figures: dict[str, float]
    spreads: dict[str, SpreadView]


class FiguresView(msgspec.Struct, frozen=True):
    """Every process that has said something during the last seconds; names as in the metrics table."""

    processes: list[ProcessView]


class FiguresReader:
    """Reads what the processes left in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def newest(self) -> FiguresView:
        """All live processes, by service."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return FiguresView([_view(sample) for sample in await newest(self._redis)])
        except (RedisError, OSError) as error:
            raise UnavailableError("the figures can't be read now", headers={"retry-after": "3"}) from error


def _view(sample: Sample) -> ProcessView:
    plain: dict[str, float] = {
        name: value for name, value in sample.figures.items() if isinstance(value, int | float)
    }
    spreads = {
        name: SpreadView(value.p50, value.p99, value.count)
        for name, value in cast("dict[str, Any]", sample.figures).items()
        if name not in plain
    }
    return ProcessView(sample.service, sample.instance, sample.at, plain, spreads)


LiveFigures = NamedDependency[FiguresReader]


@get("/", summary="Live figures", responses=answers())
async def read_figures(caller: Caller, live: LiveFigures) -> FiguresView:
    """Of gateways, processors and API processes, some seconds old. Needs the scope figures:read."""
    caller.require(READ)
    return await live.newest()


router = Router("/figures", route_handlers=[read_figures], tags=["operations"])
