"""What a route may answer beside its success, so that the OpenAPI document names every status there is."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec

from apps.platform.errors import PROBLEM_JSON, FieldProblem


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem Details (RFC 9457): `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []
    correlation_id: str = ""


_ALL: Final[dict[int, str]] = {
    304: "You have this version already",
    400: "The request can't be read",
    401: "No token, or one that does not hold",
    403: "The token lacks a scope, or the entity is somebody else's",
    404: "Absent, or not visible to you",
    409: "The state stands against it",
    412: "Another version than If-Match names",
    413: "The body is too large",
    422: "The request can be read and says something impossible",
    429: "Your allowance is used up; Retry-After says for how long",
    503: "A server behind this one does not answer; Retry-After says when to come back",
}
#: What any route behind the token may answer.
_ALWAYS: Final = (400, 401, 403, 429, 503)
#: What any route that reads a body may answer.
BODY: Final = (413, 422)


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the answers a route has beside its success and beside what every route may answer."""
    return {
        status: ResponseSpec(
            None if status < 400 else Problem,
            generate_examples=False,
            description=_ALL[status],
            media_type=PROBLEM_JSON,
        )
        for status in sorted({*_ALWAYS, *statuses})
    }
