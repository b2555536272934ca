"""Query plans on a large table: the index that is meant is used, and few rows are touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from apps.api.entities.store import QUERIES
from apps.api.filters.store import QUERIES as FILTER_QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 60_000

FILL = """
INSERT INTO entities (id, kind, lat, lon, access_rule, access_owner, access_group, deleted_at)
SELECT 'e' || i, 'aircraft', -90 + 180 * random(), -180 + 360 * random(),
       CASE i %% 10 WHEN 0 THEN 'owner' WHEN 1 THEN 'group' ELSE 'public' END, 'u' || (i %% 100),
       CASE i %% 10 WHEN 1 THEN 'ops' ELSE '' END, CASE WHEN i %% 20 = 0 THEN now() END
FROM generate_series(1, %(rows)s) AS i
"""
BOX = {"west": 8.0, "south": 46.0, "east": 10.0, "north": 48.0}
CALLER: dict[str, Any] = {"user": "u1", "groups": ["ops"], "admin": False, "kinds": None, "limit": 5001}


@pytest.fixture
def large(database: Any) -> Iterator[psycopg.Connection[Any]]:
    """A database with many entities, statistics up to date, used as the app's role."""
    with psycopg.connect(database.dsn) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(FILL, {"rows": ROWS})
        connection.execute(
            "INSERT INTO filters (id, owner, name) SELECT 'f' || i, 'u' || (i %% 500), 'x'"
            " FROM generate_series(1, %s) AS i",
            (20_000,),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE entities")
        connection.execute("VACUUM ANALYZE filters")
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        yield connection


def plan(connection: psycopg.Connection[Any], sql: bytes, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node of the plan as it ran."""
    row = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, parameters).fetchone()
    assert row is not None
    document: Any = row[0] if not isinstance(row[0], str) else json.loads(row[0])
    nodes: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        nodes.append(node)
        for child in node.get("Plans", []):
            walk(child)

    walk(document[0]["Plan"])
    return nodes


def touched(nodes: list[dict[str, Any]]) -> float:
    """Rows read by scans, kept or thrown away."""
    scans = [node for node in nodes if "Relation Name" in node]
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans
    )


def test_a_viewport_reads_its_box_and_no_more(large: psycopg.Connection[Any]) -> None:
    """Of 60,000 entities a small viewport touches about those inside, through the position index."""
    nodes = plan(large, QUERIES["in_box"].sql, {**BOX, **CALLER})
    assert "entities_position" in {node.get("Index Name") for node in nodes}
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    inside = large.execute(
        "SELECT count(*) FROM entities WHERE lat BETWEEN 46 AND 48 AND lon BETWEEN 8 AND 10"
    ).fetchone()
    assert inside is not None
    assert 0 < inside[0] < 20
    assert touched(nodes) <= inside[0]


def test_a_prepared_viewport_reads_its_box_too(large: psycopg.Connection[Any]) -> None:
    """The generic plan that PostgreSQL settles on for a prepared statement uses the index as well."""
    large.execute("SET plan_cache_mode = force_generic_plan")
    large.execute(
        "PREPARE box (float8, float8, float8, float8) AS SELECT id FROM entities WHERE deleted_at IS NULL"
        " AND point(lon, lat) <@ box(point($1, $2), point($3, $4))"
        " AND lon BETWEEN $1 AND $3 AND lat BETWEEN $2 AND $4 LIMIT 5001"
    )
    nodes = plan(large, b"EXECUTE box (8, 46, 10, 48)", {})
    assert "entities_position" in {node.get("Index Name") for node in nodes}


def test_the_whole_world_reads_little_more_than_its_limit(large: psycopg.Connection[Any]) -> None:
    """However large the viewport, the limit ends the reading."""
    world = {"west": -180.0, "south": -90.0, "east": 180.0, "north": 90.0}
    nodes = plan(large, QUERIES["in_box"].sql, {**world, **CALLER, "limit": 1001})
    assert touched(nodes) < 1001 * 1.5


def test_single_rows_are_found_by_their_key(large: psycopg.Connection[Any]) -> None:
    """Reading and locking one entity, and reading a user's filters, go through their indexes."""
    for name in ("read", "read_for_change"):
        nodes = plan(large, QUERIES[name].sql, {"id": "e77"})
        assert "entities_pkey" in {node.get("Index Name") for node in nodes}, name
        assert touched(nodes) == 1
    nodes = plan(large, FILTER_QUERIES["all_of"].sql, {"owner": "u7"})
    assert "filters_owner" in {node.get("Index Name") for node in nodes}
    assert touched(nodes) == 40


def test_every_query_is_described() -> None:
    """Each query says what it is for."""
    for query in (*QUERIES.values(), *FILTER_QUERIES.values()):
        assert len(query.description) > 15, query.name
