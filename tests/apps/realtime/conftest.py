"""The world of the process tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.apps.realtime.live import World

if TYPE_CHECKING:
    from lab.issuer import Issuer
    from lab.servers import RedisServer
    from tests.servers import Database


@pytest_asyncio.fixture
async def world(
    database: Database, valkey: RedisServer, issuer: Issuer, tmp_path: Path
) -> AsyncIterator[World]:
    """Real servers, no process yet."""
    made = World(database, valkey, issuer, tmp_path)
    yield made
    await made.close()
