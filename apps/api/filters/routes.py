"""HTTP of saved filters: decode, call the service, encode."""

from __future__ import annotations

from litestar import Response, Router, delete, get, post, put

from apps.api.answers import BODY, answers
from apps.api.filters.schemas import FilterInput, FilterList, FilterView
from apps.api.filters.service import READ, WRITE
from apps.api.params import Caller, Filters, FromPath, JSONBody
from apps.platform.body import JsonBody


@get("/", summary="Your filters", responses=answers())
async def list_filters(caller: Caller, filters: Filters) -> FilterList:
    """All filters you saved, by name."""
    caller.require(READ)
    return FilterList(await filters.all(caller))


@post(
    "/",
    dto=JsonBody[FilterInput],
    return_dto=None,
    summary="Save a filter",
    responses=answers(409, *BODY),
)
async def create_filter(
    caller: Caller, filters: Filters, data: JSONBody[FilterInput]
) -> Response[FilterView]:
    """Kinds and conditions; a viewport or a snapshot then names it by its id."""
    caller.require(WRITE)
    made = await filters.create(caller, data)
    return Response(made, status_code=201, headers={"location": f"/v1/filters/{made.id}"})


@get("/{filter_id:str}", summary="One filter", responses=answers(404))
async def read_filter(caller: Caller, filters: Filters, filter_id: FromPath[str]) -> FilterView:
    """Somebody else's filter is not found."""
    caller.require(READ)
    return await filters.read(caller, filter_id)


@put(
    "/{filter_id:str}",
    dto=JsonBody[FilterInput],
    return_dto=None,
    summary="Replace a filter",
    responses=answers(404, *BODY),
)
async def replace_filter(
    caller: Caller, filters: Filters, filter_id: FromPath[str], data: JSONBody[FilterInput]
) -> FilterView:
    """Open maps that use it follow at once."""
    caller.require(WRITE)
    return await filters.replace(caller, filter_id, data)


@delete("/{filter_id:str}", summary="Delete a filter", responses=answers(404))
async def delete_filter(caller: Caller, filters: Filters, filter_id: FromPath[str]) -> None:
    """Viewports that still name it ignore it from then on."""
    caller.require(WRITE)
    await filters.remove(caller, filter_id)


router = Router(
    "/filters",
    route_handlers=[list_filters, create_filter, read_filter, replace_filter, delete_filter],
    tags=["filters"],
)
