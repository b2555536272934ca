"""Everything around the routes: health, the reference, the console, allowances, filters."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import redis.asyncio
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from apps.api import console
from apps.api.headers import SecurityHeadersMiddleware
from apps.contracts.filters import decode_changed
from apps.platform.errors import exception_handlers
from apps.platform.health import State
from tests.apps.api.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.apps.api.conftest import Api


async def test_health_and_readiness(api: Api) -> None:
    """A ready process says so with its dependencies; a draining one lives on and is not ready."""
    assert (await api.client.get("/health")).json()["status"] == "ready"
    ready = await api.client.get("/ready")
    assert (ready.status_code, ready.json()["dependencies"]) == (200, {"postgresql": "ok"})
    api.health.to(State.DRAINING)
    assert (await api.client.get("/ready")).status_code == 503
    assert (await api.client.get("/health")).status_code == 200


async def test_the_reference_needs_no_other_origin(api: Api) -> None:
    """The OpenAPI page is plain HTML of this origin, and the document describes bodies and limits."""
    page = await api.client.get("/schema")
    assert page.status_code == 200
    assert "POST</span> <code>/v1/entities/bulk" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    document = (await api.client.get("/schema/openapi.json")).json()
    latitude = document["components"]["schemas"]["EntityInput"]["properties"]["lat"]
    assert (latitude["minimum"], latitude["maximum"]) == (-90, 90)
    assert (await api.client.get("/schema/openapi.yaml")).status_code == 200


async def test_the_console_is_served(tmp_path: Path) -> None:
    """Files have their types, revalidate by ETag, are zipped on demand, and nothing outside can be read."""
    dist = tmp_path / "dist"
    (dist / "vendor").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html><p>map</p>" * 50)
    (dist / "vendor" / "worker.mjs").write_text("export {}")
    (tmp_path / "secret.txt").write_text("no")
    app = Litestar(
        console.handlers(console.Assets(dist)), exception_handlers=exception_handlers(), logging_config=None
    )
    transport = ASGITransport(SecurityHeadersMiddleware(app))
    async with AsyncClient(transport=transport, base_url="http://api") as client:
        page = await client.get("/", headers={"accept-encoding": "gzip"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-encoding"] == "gzip"
        assert page.text.startswith("<!doctype html>")
        again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        worker = await client.get("/vendor/worker.mjs")
        assert worker.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "worker-src 'self' blob:" in worker.headers["content-security-policy"]
        assert (await client.head("/vendor/worker.mjs")).status_code == 200
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/vendor/../../secret.txt", "/vendor", "/no.js"):
            lost = await client.get(path)
            assert (lost.status_code, lost.json()["code"]) == (404, "route.not_found"), path


async def test_without_a_build_the_page_says_how(tmp_path: Path) -> None:
    """An absent build is found as nothing, which the page turns into instructions."""
    assert await console.Assets(tmp_path / "none").find("/") is None
    assert b"make console" in console._ABSENT


async def test_assets_follow_a_rebuild(tmp_path: Path) -> None:
    """A file that changed is read again, and its ETag with it."""
    (tmp_path / "a.css").write_text("p{}" * 100)
    assets = console.Assets(tmp_path)
    first = await assets.find("/a.css")
    (tmp_path / "a.css").write_text("q{}" * 101)
    second = await assets.find("/a.css")
    assert first is not None
    assert second is not None
    assert first.etag != second.etag
    assert second.zipped is not None
    assert gzip.decompress(second.zipped) == b"q{}" * 101


async def test_reads_are_limited_per_user(start: Callable[..., Any]) -> None:
    """Who used up its allowance gets 429 with the time to wait; others are not concerned."""
    async with start(read_rate_per_second=0.5, read_burst=3) as api:
        answers = [await api.client.get("/v1/me", headers=api.headers()) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].json()["code"] == "rate.limited"
        assert int(answers[3].headers["retry-after"]) in {1, 2}
        assert (await api.client.get("/v1/me", headers=api.headers("bob"))).status_code == 200


async def test_a_bulk_counts_its_entities(start: Callable[..., Any]) -> None:
    """Writes are counted by entity, and a refused bulk stores nothing."""
    async with start(write_rate_per_second=1, write_burst=1000) as api:
        rows = [{"id": f"e{number}", "kind": "a", "lat": 1, "lon": 1} for number in range(600)]
        first = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
        assert (first.status_code, first.headers["ratelimit-remaining"]) == (200, "400")
        second = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
        assert second.status_code == 429
        assert (await api.client.get("/v1/entities/e0", headers=api.headers())).json()["version"] == 1


async def test_filters_live_and_belong_to_their_user(api: Api) -> None:
    """Save, list, replace, delete; others find nothing; bad conditions are named."""
    body = {"name": "low", "kinds": ["a"], "where": [{"attribute": "alt", "op": "lt", "value": 100}]}
    made = await api.client.post("/v1/filters", json=body, headers=api.headers())
    assert made.status_code == 201
    url = made.headers["location"]
    assert (await api.client.get(url, headers=api.headers())).json() == made.json()
    assert made.json() == {"id": made.json()["id"], **body}
    assert (await api.client.get(url, headers=api.headers("bob"))).status_code == 404
    replaced = await api.client.put(url, json={"name": "all"}, headers=api.headers())
    assert replaced.json() == {"id": made.json()["id"], "name": "all", "kinds": [], "where": []}
    listed = await api.client.get("/v1/filters", headers=api.headers())
    assert [item["name"] for item in listed.json()["filters"]] == ["all"]
    bad = {
        "name": "x",
        "where": [{"attribute": "a", "op": "gt", "value": True}, {"attribute": "b", "op": "like"}],
    }
    refused = await api.client.post("/v1/filters", json=bad, headers=api.headers())
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"].startswith("where")
    assert (await api.client.delete(url, headers=api.headers())).status_code == 204
    assert (await api.client.delete(url, headers=api.headers())).status_code == 404


async def test_a_text_that_no_database_stores_is_a_named_field(api: Api) -> None:
    """U+0000 in a condition is refused with the field's name and not by PostgreSQL."""
    for where in (
        {"attribute": "a\0", "op": "exists"},
        {"attribute": "a", "op": "in", "value": ["b", "c\0"]},
    ):
        body = {"name": "x", "where": [where]}
        refused = await api.client.post("/v1/filters", json=body, headers=api.headers())
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"].startswith("where[0]")


async def test_options_names_every_method_of_a_path(api: Api) -> None:
    """OPTIONS answers 204 with all of them, and so does the 405 of a method that is none of them."""
    document = (await api.client.get("/schema/openapi.json")).json()
    for path in ("/v1/entities", "/v1/entities/{entity_id}", "/v1/filters/{filter_id}", "/v1/me", "/ready"):
        url = path.format(entity_id="x", filter_id="x")
        told = await api.client.options(url, headers=api.headers())
        assert told.status_code == 204
        expected = {method.upper() for method in document["paths"][path]} | {"OPTIONS"}
        assert set(told.headers["allow"].split(", ")) == expected
    assert (await api.client.put("/v1/me", headers=api.headers())).status_code == 405


async def test_the_document_says_what_is_refused(api: Api) -> None:
    """Unknown fields, a minimum of 0 and the pattern of a list's items are in the document, and no Python-only regex."""
    document = (await api.client.get("/schema/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert schemas["EntityInput"]["additionalProperties"] is False
    assert schemas["EntityInput"]["properties"]["heading"]["anyOf"][0]["minimum"] == 0
    assert schemas["FilterInput"]["properties"]["kinds"]["items"]["pattern"].endswith("$")
    assert r"\Z" not in (await api.client.get("/schema/openapi.json")).text
    assert "application/problem+json" in document["paths"]["/v1/me"]["get"]["responses"]["401"]["content"]


async def test_filter_changes_are_announced(api: Api, valkey: Any) -> None:
    """Whoever listens on the channel hears whose filters changed."""
    client: Any = redis.asyncio.Redis.from_url(valkey.url())
    async with client, client.pubsub() as heard:
        await heard.subscribe("filters:changed")
        assert await heard.get_message(timeout=5)
        await api.client.post("/v1/filters", json={"name": "x"}, headers=api.headers("zoe"))
        message = await eventually(lambda: heard.get_message(ignore_subscribe_messages=True, timeout=0.1))
        assert decode_changed(message["data"]).user == "zoe"


async def test_concurrent_writers_get_consecutive_versions(api: Api) -> None:
    """Forty moves at once of one entity are versions 2 to 41, none twice and none lost."""
    await api.create(id="x")

    async def move(step: int) -> int:
        answer = await api.client.patch("/v1/entities/x", json={"lat": step / 10}, headers=api.headers())
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    versions = await asyncio.gather(*(move(step) for step in range(40)))
    assert sorted(versions) == list(range(2, 42))


async def test_concurrent_bulks_in_opposite_orders_do_not_deadlock(api: Api) -> None:
    """Bulks over the same ids in opposite orders all succeed, and versions count every one."""
    ids = [f"e{number}" for number in range(50)]

    async def bulk(order: list[str]) -> int:
        rows = [{"id": name, "kind": "a", "lat": 1, "lon": 1} for name in order]
        answer = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
        return int(answer.status_code)

    codes = await asyncio.gather(*(bulk(ids if turn % 2 else ids[::-1]) for turn in range(12)))
    assert set(codes) == {200}
    one = (await api.client.get("/v1/entities/e7", headers=api.headers())).json()
    assert one["version"] == 12
