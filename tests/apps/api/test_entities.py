"""Entities through the API: create, read, move, delete, who may, and what is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.apps.api.conftest import Api


async def test_create_and_read(api: Api) -> None:
    """An entity is acknowledged with version 1, its owner and an ETag, and reads back the same."""
    answer = await api.client.post(
        "/v1/entities",
        json={
            "id": "ab:1",
            "kind": "aircraft",
            "lat": 47.5,
            "lon": 8.5,
            "heading": 360,
            "attributes": {"a": [1]},
        },
        headers={**api.headers(), "x-correlation-id": "order-7"},
    )
    made = answer.json()
    assert answer.status_code == 201, made
    assert answer.headers["location"] == "/v1/entities/ab:1"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["x-correlation-id"] == "order-7"
    assert answer.headers["traceparent"].startswith("00-")
    assert made.pop("changed_at") > 1_700_000_000_000
    assert made == {
        "id": "ab:1",
        "kind": "aircraft",
        "lat": 47.5,
        "lon": 8.5,
        "heading": 0.0,
        "attributes": {"a": [1]},
        "access": {"rule": "public", "owner": "ann", "group": ""},
        "version": 1,
    }
    again = await api.client.get("/v1/entities/ab:1", headers=api.headers("bob"))
    assert again.status_code == 200
    assert again.json()["attributes"] == {"a": [1]}
    same = await api.client.get("/v1/entities/ab:1", headers={**api.headers(), "if-none-match": '"1"'})
    assert same.status_code == 304


async def test_an_id_is_made_when_none_is_given(api: Api) -> None:
    """Without an id the API makes one that works in a path."""
    made = await api.create()
    assert (await api.client.get(f"/v1/entities/{made['id']}", headers=api.headers())).status_code == 200


async def test_creating_twice_is_a_conflict(api: Api) -> None:
    """An id that exists is refused with a code, and the entity stays as it was."""
    await api.create(id="x", lat=1)
    answer = await api.client.post(
        "/v1/entities", json={"id": "x", "kind": "ship", "lat": 2, "lon": 2}, headers=api.headers("bob")
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "entity.exists")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.client.get("/v1/entities/x", headers=api.headers())).json()["lat"] == 1


async def test_versions_survive_deletion(api: Api) -> None:
    """A deletion has a version, a deleted entity is not found, and its id goes on counting when reused."""
    await api.create(id="x")
    moved = await api.client.patch("/v1/entities/x", json={"lat": 1.5, "heading": 90}, headers=api.headers())
    assert (moved.json()["version"], moved.json()["lat"], moved.json()["heading"]) == (2, 1.5, 90)
    gone = await api.client.delete("/v1/entities/x", headers=api.headers())
    assert gone.json() == {"id": "x", "version": 3}
    assert (await api.client.get("/v1/entities/x", headers=api.headers())).status_code == 404
    late = await api.client.patch("/v1/entities/x", json={"lat": 1}, headers=api.headers())
    assert (late.status_code, late.json()["code"]) == (404, "entity.not_found")
    assert (await api.client.delete("/v1/entities/x", headers=api.headers())).status_code == 404
    assert (await api.create(id="x"))["version"] == 4


async def test_a_patch_keeps_what_it_does_not_name(api: Api) -> None:
    """Only given fields change; null clears the heading."""
    await api.create(id="x", heading=10, attributes={"callsign": "SWR1"})
    moved = (await api.client.patch("/v1/entities/x", json={"lon": 9}, headers=api.headers())).json()
    assert (moved["lon"], moved["lat"], moved["heading"], moved["attributes"]) == (
        9,
        47,
        10,
        {"callsign": "SWR1"},
    )
    cleared = (await api.client.patch("/v1/entities/x", json={"heading": None}, headers=api.headers())).json()
    assert cleared["heading"] is None


async def test_if_match_guards_against_lost_updates(api: Api) -> None:
    """A change that names an old version is refused and changes nothing."""
    await api.create(id="x")
    headers = {**api.headers(), "if-match": '"1"'}
    assert (await api.client.patch("/v1/entities/x", json={"lat": 1}, headers=headers)).status_code == 200
    stale = await api.client.patch("/v1/entities/x", json={"lat": 2}, headers=headers)
    assert (stale.status_code, stale.json()["code"]) == (412, "version.mismatch")
    assert stale.headers["etag"] == '"2"'
    assert (await api.client.delete("/v1/entities/x", headers=headers)).status_code == 412


ACCESS: list[tuple[dict[str, str], str, list[str], bool]] = [
    ({"rule": "public"}, "bob", [], True),
    ({"rule": "owner"}, "bob", ["ops"], False),
    ({"rule": "owner"}, "ann", [], True),
    ({"rule": "group", "group": "ops"}, "bob", ["ops", "x"], True),
    ({"rule": "group", "group": "ops"}, "bob", ["dev"], False),
    ({"rule": "group", "group": "ops"}, "ann", [], True),
]


async def test_access_decides_who_sees(api: Api) -> None:
    """Reading one and the snapshot agree on who sees an entity; who does not is told that there is none."""
    for place, (access, who, groups, seen) in enumerate(ACCESS):
        name = f"x{place}"
        await api.create(id=name, access=access, groups=["ops"])
        headers = api.headers(who, groups=groups)
        one = await api.client.get(f"/v1/entities/{name}", headers=headers)
        assert one.status_code == (200 if seen else 404), access
        box = await api.client.get("/v1/entities?west=7&south=46&east=9&north=48", headers=headers)
        assert (name in [item["id"] for item in box.json()["entities"]]) is seen, access
        if not seen:
            change = await api.client.patch(f"/v1/entities/{name}", json={"lat": 1}, headers=headers)
            assert change.status_code == 404


async def test_only_owner_and_admin_change(api: Api) -> None:
    """Others who see an entity may not change it; entities:admin may, and the owner stays the owner."""
    await api.create(id="x")
    other = await api.client.patch("/v1/entities/x", json={"lat": 1}, headers=api.headers("bob"))
    assert (other.status_code, other.json()["code"]) == (403, "entity.not_owner")
    admin = api.headers("root", scope="entities:write entities:admin")
    changed = await api.client.patch("/v1/entities/x", json={"access": {"rule": "owner"}}, headers=admin)
    assert changed.json()["access"] == {"rule": "owner", "owner": "ann", "group": ""}


async def test_scopes_are_required(api: Api) -> None:
    """A token without the scope is refused with the scope's name."""
    answer = await api.client.post(
        "/v1/entities", json={"kind": "a", "lat": 1, "lon": 1}, headers=api.headers(scope="entities:read")
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing")
    assert "entities:write" in answer.json()["detail"]
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_sharing_with_a_foreign_group_is_refused(api: Api) -> None:
    """Only members may share with a group."""
    body = {"kind": "a", "lat": 1, "lon": 1, "access": {"rule": "group", "group": "ops"}}
    answer = await api.client.post("/v1/entities", json=body, headers=api.headers(groups=["dev"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "group.not_member")


async def test_every_bad_field_is_reported(api: Api) -> None:
    """One answer names all bad fields, the unknown one with the nearest known."""
    body = {"kind": "", "lat": 91, "lon": "8", "heading": -1, "atributes": {}, "access": {"rule": "all"}}
    answer = await api.client.post("/v1/entities", json=body, headers=api.headers())
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "request.invalid")
    assert {item["field"] for item in problem["errors"]} == {
        "kind", "lat", "lon", "heading", "atributes", "access.rule",
    }  # fmt: skip
    assert "did you mean attributes?" in next(
        item["message"] for item in problem["errors"] if item["field"] == "atributes"
    )
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]


async def test_latitudes_that_are_none(api: Api) -> None:
    """What is no finite number within range is a bad field, not a server error and not bad JSON."""
    for value in ("NaN", "Infinity", "-Infinity", "1e999", '"NaN"', '"47"', "90.0001", "null", "true"):
        body = f'{{"kind":"a","lat":{value},"lon":1}}'
        answer = await api.client.post("/v1/entities", content=body, headers=api.headers())
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), answer.text
        assert [item["field"] for item in answer.json()["errors"]] == ["lat"], answer.text


async def test_bodies_that_are_no_json(api: Api) -> None:
    """Bytes that are no JSON are refused as such."""
    for body in (b"", b"{", b"lat=1", b"\xff\xfe", b'{"kind":"a"}}', b"[" * 5000):
        answer = await api.client.post("/v1/entities", content=body, headers=api.headers())
        assert (answer.status_code, answer.json()["code"]) == (400, "body.not_json"), answer.text


NO_ENTITY = [
    b"[]",
    b"1",
    b"null",
    b'"x"',
    b'{"kind":"a","lat":1,"lon":1,"attributes":{"a":"\\u0000"}}',
    b'{"kind":"a","lat":1,"lon":1,"id":"a/b"}',
    b'{"kind":"a","lat":1,"lon":1,"id":"a\\n"}',
    b'{"kind":"a","lat":1,"lon":1,"attributes":{"a":"' + b"x" * 9000 + b'"}}',
    b'{"kind":"a","lat":1,"lon":1,"attributes":{"a":"\\ud800"}}',
    b'{"kind":"a","lat":1,"lon":1,"attributes":{"a":1' + b"0" * 30 + b"}}",
    b'{"kind":"a","lat":1,"lon":1,"attributes":{"a":' + b"[" * 20 + b"]" * 20 + b"}}",
    b'{"kind":"a","lat":1,"lon":1,"access":{"rule":"group"}}',
    b'{"kind":"a","lat":1,"lon":1,"access":{"rule":"owner","group":"g"}}',
]


async def test_json_that_is_no_entity(api: Api) -> None:
    """JSON of another shape, or with what PostgreSQL can't store, is a 422."""
    for body in NO_ENTITY:
        answer = await api.client.post("/v1/entities", content=body, headers=api.headers())
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), answer.text


async def test_an_empty_patch_is_refused(api: Api) -> None:
    """A change that changes nothing is a mistake of the caller."""
    await api.create(id="x")
    answer = await api.client.patch("/v1/entities/x", json={}, headers=api.headers())
    assert answer.status_code == 422
    assert "at least one" in answer.json()["detail"]


async def test_an_oversized_body_is_refused(api: Api) -> None:
    """A body over the limit is refused before it is read whole."""
    answer = await api.client.post("/v1/entities/bulk", content=b" " * (3 << 20), headers=api.headers())
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")


async def test_unknown_routes_and_methods_are_problems(api: Api) -> None:
    """Also what no route answers is a Problem with a code and the security headers."""
    lost = await api.client.get("/v1/nowhere", headers=api.headers())
    assert (lost.status_code, lost.json()["code"]) == (404, "route.not_found")
    assert "default-src 'none'" in lost.headers["content-security-policy"]
    wrong = await api.client.put("/v1/entities", json={}, headers=api.headers())
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method.not_allowed")


NO_VIEWPORT = [
    ("west=1&south=5&east=2&north=4", "south"),
    ("west=nan&south=1&east=2&north=4", "west"),
    ("west=-181&south=1&east=2&north=4", "west"),
    ("west=1&south=1&east=inf&north=4", "east"),
    ("west=1&south=1&east=2&north=90.5", "north"),
    ("west=x&south=1&east=2&north=4", "west"),
    ("west=1&south=1&east=2", "north"),
    ("west=1&south=1&east=2&north=4&limit=0", "limit"),
    (f"west=1&south=1&east=2&north=4&kinds={','.join(f'k{n}' for n in range(51))}", "kinds"),
]


async def test_viewports_that_are_none(api: Api) -> None:
    """Inverted, non-finite, out-of-range, malformed and missing edges are named."""
    for query, field in NO_VIEWPORT:
        answer = await api.client.get(f"/v1/entities?{query}", headers=api.headers())
        assert answer.status_code == 422, answer.text
        assert field in [item["field"] for item in answer.json()["errors"]], answer.text


async def test_a_viewport_across_the_antimeridian(api: Api) -> None:
    """West above east takes both sides of 180 degrees, edges included, and nothing between."""
    for name, lon in (("fiji", 178.0), ("samoa", -172.0), ("line", 180.0), ("zurich", 8.5), ("edge", -170.0)):
        await api.create(id=name, lat=-15, lon=lon)
    answer = await api.client.get(
        "/v1/entities?west=170&south=-20&east=-170&north=-10", headers=api.headers()
    )
    assert {item["id"] for item in answer.json()["entities"]} == {"fiji", "samoa", "line", "edge"}


async def test_snapshot_limits_kinds_and_filters(api: Api) -> None:
    """Kinds and a saved filter narrow a snapshot; one that is cut says so."""
    for number in range(6):
        await api.create(id=f"a{number}", attributes={"alt": number * 1000})
    await api.create(id="ship", kind="ship")
    box = "/v1/entities?west=7&south=46&east=9&north=48"
    cut = (await api.client.get(f"{box}&limit=4", headers=api.headers())).json()
    assert (len(cut["entities"]), cut["truncated"]) == (4, True)
    all_of = (await api.client.get(f"{box}&limit=7", headers=api.headers())).json()
    assert (len(all_of["entities"]), all_of["truncated"]) == (7, False)
    ships = (await api.client.get(f"{box}&kinds=ship,train", headers=api.headers())).json()
    assert [item["id"] for item in ships["entities"]] == ["ship"]
    saved = await api.client.post(
        "/v1/filters",
        json={
            "name": "high",
            "kinds": ["aircraft"],
            "where": [{"attribute": "alt", "op": "gte", "value": 4000}],
        },
        headers=api.headers(),
    )
    high = (await api.client.get(f"{box}&filter={saved.json()['id']}", headers=api.headers())).json()
    assert {item["id"] for item in high["entities"]} == {"a4", "a5"}
    foreign = await api.client.get(f"{box}&filter={saved.json()['id']}", headers=api.headers("bob"))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "filter.not_found")


async def test_bulk_stores_the_good_and_reports_the_bad(api: Api) -> None:
    """Bad rows, foreign entities and foreign groups are reported by place; the last of an id wins."""
    await api.create(id="bobs", user="bob")
    await api.create(id="mine", attributes={"keep": 1}, access={"rule": "owner"})
    rows = [
        {"id": "new", "kind": "a", "lat": 1, "lon": 1},
        {"id": "mine", "kind": "a", "lat": 2, "lon": 2},
        {"id": "bobs", "kind": "a", "lat": 3, "lon": 3},
        {"id": "bad", "kind": "a", "lat": 91, "lon": None},
        {"id": "new", "kind": "a", "lat": 4, "lon": 4, "heading": 360},
        {"id": "shared", "kind": "a", "lat": 1, "lon": 1, "access": {"rule": "group", "group": "ops"}},
        "text",
    ]
    answer = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
    result = answer.json()
    assert answer.status_code == 200, result
    assert (result["accepted"], result["superseded"]) == (3, 1)
    assert {item["id"]: item["version"] for item in result["results"]} == {"new": 1, "mine": 2}
    assert [(item["index"], item["code"]) for item in result["rejected"]] == [
        (2, "entity.not_owner"),
        (3, "request.invalid"),
        (5, "group.not_member"),
        (6, "request.invalid"),
    ]
    assert "lat" in result["rejected"][1]["error"]
    assert "lon" in result["rejected"][1]["error"]
    mine = (await api.client.get("/v1/entities/mine", headers=api.headers())).json()
    assert (mine["lat"], mine["attributes"], mine["access"]["rule"]) == (2, {"keep": 1}, "owner")
    new = (await api.client.get("/v1/entities/new", headers=api.headers())).json()
    assert (new["lat"], new["heading"], new["version"]) == (4, 0, 1)


async def test_bulk_is_bounded(api: Api) -> None:
    """More than 1,000 rows are refused as a whole."""
    rows = [{"id": str(number), "kind": "a", "lat": 1, "lon": 1} for number in range(1001)]
    answer = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "entities")


async def test_bulk_takes_over_a_deleted_id(api: Api) -> None:
    """A tombstone belongs to nobody: the next owner starts with fresh attributes and a higher version."""
    await api.create(id="x", user="bob", attributes={"old": True})
    await api.client.delete("/v1/entities/x", headers=api.headers("bob"))
    rows = [{"id": "x", "kind": "a", "lat": 1, "lon": 1}]
    answer = await api.client.post("/v1/entities/bulk", json={"entities": rows}, headers=api.headers())
    assert answer.json()["results"] == [{"id": "x", "version": 3}]
    now = (await api.client.get("/v1/entities/x", headers=api.headers())).json()
    assert (now["access"]["owner"], now["attributes"]) == ("ann", {})


async def test_infinite_numbers_inside_attributes(api: Api) -> None:
    """NaN hidden in an attribute is named with its path."""
    answer = await api.client.post(
        "/v1/entities",
        content=b'{"kind":"a","lat":1,"lon":1,"attributes":{"s":[1,NaN]}}',
        headers=api.headers(),
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "attributes.s[1]"
    assert not math.isnan(answer.json()["status"])


async def test_texts_postgresql_cannot_hold(api: Api) -> None:
    """A NUL anywhere, path, query or free text, is the caller's mistake and not the server's."""
    headers = api.headers(groups=["a\x00b"])
    condition = {"attribute": "a", "op": "eq", "value": "\x00"}
    access = {"rule": "group", "group": "a\x00b"}
    box = "/v1/entities?west=1&south=1&east=2&north=2"
    for method, url, body in (
        ("GET", "/v1/entities/%00", None),
        ("GET", f"{box}&kinds=%00", None),
        ("GET", f"{box}&filter=%00", None),
        ("POST", "/v1/filters", {"name": "x", "where": [condition]}),
        ("POST", "/v1/entities", {"kind": "a", "lat": 1, "lon": 1, "access": access}),
    ):
        answer = await api.client.request(method, url, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), (url, answer.text)


async def test_any_number_of_json_is_stored_and_told(api: Api) -> None:
    """Numbers that PostgreSQL writes as long integers come back as they went in, from every write and read."""
    numbers = [1e20, -2.5599280870058427e184, 1.7976931348623157e308, 5e-324, 2**64 - 1, -(2**63), 0.1]
    attributes = {"numbers": numbers, "text": "9" * 30}
    made = await api.create(id="big", attributes=attributes)
    assert made["attributes"] == attributes
    moved = await api.client.patch("/v1/entities/big", json={"lat": 1}, headers=api.headers())
    assert moved.json()["attributes"] == attributes
    bulk = {"entities": [{"id": "big", "kind": "a", "lat": 1, "lon": 1}]}
    answer = await api.client.post("/v1/entities/bulk", json=bulk, headers=api.headers())
    assert answer.json()["accepted"] == 1
    read = await api.client.get("/v1/entities/big", headers=api.headers())
    assert read.json()["attributes"] == attributes
    assert (await api.client.delete("/v1/entities/big", headers=api.headers())).status_code == 200
