"""HTTP of entities: decode, call the service, encode."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import HeaderParameter, QueryParameter

from apps.api.answers import BODY, answers
from apps.api.entities import domain
from apps.api.entities.schemas import (
    MAX_BULK,
    BulkInput,
    BulkResult,
    Deleted,
    EntityInput,
    EntityPatch,
    EntityView,
    Snapshot,
)
from apps.api.params import Allowances, Caller, Entities, Filters, FromPath, JSONBody
from apps.platform.body import JsonBody

IfMatch = Annotated[
    str | None, HeaderParameter(name="if-match", description='e.g. "3": only at that version')
]
# only described here: `domain.viewport` reports all bad edges at once
LatitudeQuery = Annotated[float, QueryParameter(schema_extra={"minimum": -90, "maximum": 90})]
LongitudeQuery = Annotated[float, QueryParameter(schema_extra={"minimum": -180, "maximum": 180})]


@post(
    "/",
    dto=JsonBody[EntityInput],
    return_dto=None,
    summary="Create an entity",
    responses=answers(409, *BODY),
)
async def create_entity(
    caller: Caller, entities: Entities, data: JSONBody[EntityInput]
) -> Response[EntityView]:
    """You become its owner. An id that exists, also one you can't see, is a conflict (409)."""
    caller.require(domain.WRITE)
    made = await entities.create(caller, data)
    return Response(
        made,
        status_code=201,
        headers={"location": f"/v1/entities/{made.id}", "etag": domain.etag(made.version)},
    )


@post(
    "/bulk",
    dto=JsonBody[BulkInput],
    return_dto=None,
    status_code=200,
    summary="Upsert many entities",
    responses=answers(*BODY),
)
async def upsert_entities(
    request: Request[Any, Any, Any],
    caller: Caller,
    entities: Entities,
    limits: Allowances,
    data: JSONBody[BulkInput],
) -> BulkResult:
    """Up to 1,000 in one transaction. Bad rows and entities of others are reported, the rest is stored;
    of several rows with one id the last counts. Each row counts as one write of your allowance.
    """
    caller.require(domain.WRITE)
    # the request itself was charged as one write
    await limits.charge_writes(request.scope, caller, len(data.entities[:MAX_BULK]) - 1)
    return await entities.bulk(caller, data.entities)


@get("/", summary="What is inside a viewport", responses=answers(404, 422))
async def snapshot(
    caller: Caller,
    entities: Entities,
    filters: Filters,
    limits: Allowances,
    west: LongitudeQuery,
    south: LatitudeQuery,
    east: LongitudeQuery,
    north: LatitudeQuery,
    kinds: Annotated[str | None, QueryParameter(description="comma-separated")] = None,
    filter_id: Annotated[str | None, QueryParameter(name="filter", description="a saved filter's id")] = None,
    limit: Annotated[int | None, QueryParameter(ge=1, le=20_000)] = None,
) -> Snapshot:
    """West above east means that the box crosses the antimeridian. Of more entities than `limit` some are
    returned, in no order, and `truncated` is true: ask for a smaller box.
    """
    caller.require(domain.READ)
    saved = None if filter_id is None else await filters.saved(caller, filter_id)
    return await entities.snapshot(
        caller,
        domain.viewport(west, south, east, north),
        kinds=domain.kinds(kinds),
        saved=saved,
        limit=min(limit or limits.snapshot, limits.snapshot),
    )


@get("/{entity_id:str}", summary="One entity", responses=answers(304, 404))
async def read_entity(
    caller: Caller,
    entities: Entities,
    entity_id: FromPath[str],
    if_none_match: Annotated[str | None, HeaderParameter(name="if-none-match")] = None,
) -> Response[EntityView | None]:
    """What you may not see is not found."""
    caller.require(domain.READ)
    found = await entities.read(caller, entity_id)
    headers = {"etag": domain.etag(found.version), "cache-control": "private, no-cache"}
    if if_none_match is not None and domain.etag(found.version) in if_none_match:
        return Response(None, status_code=304, headers=headers)
    return Response(found, headers=headers)


@patch(
    "/{entity_id:str}",
    dto=JsonBody[EntityPatch],
    return_dto=None,
    summary="Move or change an entity",
    responses=answers(404, 412, *BODY),
)
async def change_entity(
    caller: Caller,
    entities: Entities,
    entity_id: FromPath[str],
    data: JSONBody[EntityPatch],
    if_match: IfMatch = None,
) -> Response[EntityView]:
    """For its owner and for the scope entities:admin; what is not given stays."""
    caller.require(domain.WRITE)
    made = await entities.change(caller, entity_id, data, if_match)
    return Response(made, headers={"etag": domain.etag(made.version)})


@delete("/{entity_id:str}", status_code=200, summary="Delete an entity", responses=answers(404, 412))
async def delete_entity(
    caller: Caller, entities: Entities, entity_id: FromPath[str], if_match: IfMatch = None
) -> Response[Deleted]:
    """For its owner and for the scope entities:admin; the answer holds the version of the deletion."""
    caller.require(domain.WRITE)
    gone = await entities.remove(caller, entity_id, if_match)
    return Response(gone, headers={"etag": domain.etag(gone.version)})


router = Router(
    "/entities",
    route_handlers=[
        create_entity,
        upsert_entities,
        snapshot,
        read_entity,
        change_entity,
        delete_entity,
    ],
    tags=["entities"],
)
