"""One rule of access on every path: single reads, lists, snapshots and live changes decide the same."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from apps.api.entities import domain, store
from apps.api.entities.schemas import AccessView, EntityView
from apps.contracts.access import ADMIN, may_see, sees_all
from apps.contracts.entities import Access
from apps.contracts.protocol import Bounds
from apps.contracts.views import KindRules
from apps.filter_processor.matcher import Matcher
from apps.platform.auth import Identity
from apps.realtime.session import View
from apps.realtime.store import SnapshotStore
from tests.apps.filter_processor.support import change, registration

if TYPE_CHECKING:
    from tests.servers import Database

RULES = [
    Access("public", "ann"),
    Access("owner", "ann"),
    Access("owner", "bob"),
    Access("group", "ann", "red"),
    Access("group", "eve", "blue"),
]
CALLERS = [
    Identity(user, frozenset(groups), frozenset(scopes))
    for user, groups, scopes in product(
        ("ann", "bob", "eve"), ((), ("red",), ("red", "blue")), (("entities:read",), ("entities:read", ADMIN))
    )
]


@pytest.fixture
def stored(database: Database) -> Database:
    """An entity for each rule, all at one place."""
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        for number, access in enumerate(RULES):
            connection.execute(
                "INSERT INTO entities (id, kind, lat, lon, access_rule, access_owner, access_group) "
                "VALUES (%s, 'aircraft', 47, 8, %s, %s, %s)",
                (f"e{number}", access.rule, access.owner, access.group),
            )
    return database


async def test_every_path_shows_the_same(stored: Database):
    """HTTP's single read and list, the gateway's snapshot and the matcher agree with the contract's rule."""
    async with AsyncConnectionPool(stored.app_dsn, min_size=1, open=False) as pool:
        snapshots = SnapshotStore(pool, KindRules(), scan_limit=100, max_entities=100)
        for caller in CALLERS:
            everything = sees_all(caller.scopes)
            allowed = {
                f"e{number}"
                for number, access in enumerate(RULES)
                if may_see(access, caller.user, caller.groups, everything=everything)
            }
            single = {
                f"e{number}"
                for number, access in enumerate(RULES)
                if domain.visible(_view(f"e{number}", access), caller)
            }
            async with pool.connection() as connection:
                listed = await store.in_box(connection, (7.0, 46.0, 9.0, 48.0), caller, kinds=None, limit=99)
            view = View(Bounds(7.0, 46.0, 9.0, 48.0))
            rows, _ = await snapshots.snapshot(
                caller.user, sorted(caller.groups), view, everything=everything
            )
            assert single == allowed
            assert {entity.id for entity in listed} == allowed
            assert {row.id for row in rows} == allowed
            assert _live(caller) == allowed


def _view(entity_id: str, access: Access) -> EntityView:
    rule = AccessView(access.rule, access.owner, access.group)
    return EntityView(entity_id, "aircraft", 47.0, 8.0, None, {}, rule, 1, 0)


def _live(caller: Identity) -> set[str]:
    matcher = Matcher()
    groups = tuple(sorted(caller.groups))
    matcher.put(
        registration(user=caller.user, groups=groups, everything=sees_all(caller.scopes), ttl_ms=1000), 0.0
    )
    changes = [change(f"e{number}", 1, 47.0, 8.0, access=access) for number, access in enumerate(RULES)]
    return {one.id for one in changes if matcher.match(None, one, 1.0)}
