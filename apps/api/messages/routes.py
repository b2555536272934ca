"""HTTP of messages: decode, call the service, encode."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Router, post
from litestar.params import HeaderParameter

from apps.api.answers import BODY, answers
from apps.api.messages.schemas import MessageInput
from apps.api.params import Allowances, Caller, FromPath, JSONBody, MessageCalls
from apps.platform.body import JsonBody
from apps.platform.publish import Sent

Once = Annotated[
    str | None,
    HeaderParameter(
        name="idempotency-key",
        pattern=r"^[A-Za-z0-9._:@/-]{1,128}$",  # no header holds the line break that Python's `$` lets pass
        description="sent again within the hour, nothing is sent and the first answer's id returned",
    ),
]


@post(
    "/users/{user:str}/messages",
    dto=JsonBody[MessageInput],
    return_dto=None,
    status_code=202,
    summary="Send to a user",
    responses=answers(404, *BODY),
)
async def send_to_user(
    request: Request[Any, Any, Any],
    caller: Caller,
    messages: MessageCalls,
    limits: Allowances,
    user: FromPath[str],
    data: JSONBody[MessageInput],
    idempotency_key: Once = None,
) -> Sent:
    """To every session of theirs at once; who is away gets it on coming back within the hour. Needs the scope
    messages:write, and to others than yourself messages:admin.
    """
    await limits.charge_message(request.scope, caller)
    return await messages.to_user(caller, user, data, idempotency_key)


@post(
    "/channels/{channel:str}/messages",
    dto=JsonBody[MessageInput],
    return_dto=None,
    status_code=202,
    summary="Send on a channel",
    responses=answers(404, *BODY),
)
async def send_to_channel(
    request: Request[Any, Any, Any],
    caller: Caller,
    messages: MessageCalls,
    limits: Allowances,
    channel: FromPath[str],
    data: JSONBody[MessageInput],
    idempotency_key: Once = None,
) -> Sent:
    """To everybody who listens, or is back within five minutes: public.TOPIC is for all, group.GROUP.TOPIC
    for a group's members. Needs the scope messages:write, and messages:admin for groups that you are not in.
    """
    await limits.charge_message(request.scope, caller)
    return await messages.to_channel(caller, channel, data, idempotency_key)


router = Router("/", route_handlers=[send_to_user, send_to_channel], tags=["messages"])
