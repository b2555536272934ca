"""Errors with a code and a status, answered as Problem Details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException

from apps.platform import telemetry
from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar import Request

log = Log("slipway.errors")

PROBLEM_JSON: Final = "application/problem+json"


class FieldProblem(msgspec.Struct, frozen=True):
    """One bad field: where it was (`body`, `query`, `path`), its name, and what is allowed."""

    source: str
    field: str
    message: str


class AppError(Exception):
    """Base of every error a caller can do something about; subclasses fix code, status and title."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        #: More exact than the class's, where one class has several reasons.
        self.reason = code or self.code


class NotFoundError(AppError):
    """Absent, or not visible to the caller: the answer does not say which."""

    code, status, title = "not_found", 404, "Not found"


class ForbiddenError(AppError):
    """The caller is known and may not."""

    code, status, title = "forbidden", 403, "Forbidden"


class ConflictError(AppError):
    """The state of the resource stands against it."""

    code, status, title = "conflict", 409, "Conflict"


class PreconditionError(AppError):
    """The resource has another version than the caller thinks."""

    code, status, title = "version.mismatch", 412, "Precondition failed"


class BadRequestError(AppError):
    """The request can't be read."""

    code, status, title = "request.malformed", 400, "Malformed request"


class InvalidError(AppError):
    """The request can be read, and says something impossible."""

    code, status, title = "request.invalid", 422, "Invalid request"


class TooLargeError(AppError):
    """The body is over the limit."""

    code, status, title = "body.too_large", 413, "Body too large"


class RateLimitError(AppError):
    """The caller has used up its share for now."""

    code, status, title = "rate.limited", 429, "Too many requests"


class UnauthenticatedError(AppError):
    """No token, or one that does not hold."""

    code, status, title = "token.invalid", 401, "Unauthenticated"


class UnavailableError(AppError):
    """Something behind this process is away; the same request may succeed later."""

    code, status, title = "unavailable", 503, "Temporarily unavailable"


_HTTP_CODES: Final[dict[int, str]] = {
    400: "request.malformed",
    401: "token.invalid",
    403: "forbidden",
    404: "route.not_found",
    405: "method.not_allowed",
    413: "body.too_large",
    415: "body.unsupported_type",
    429: "rate.limited",
    503: "unavailable",
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    title: str | None = None,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[dict[str, Any]]:
    """Build the one shape every error of an app has."""
    trace = telemetry.current()
    body: dict[str, Any] = {
        "type": f"urn:slipway:problem:{code}",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = [msgspec.to_builtins(item) for item in errors]
    if trace is not None:
        body["correlation_id"] = trace.correlation_id
    answer_headers = {"cache-control": "no-store", **(headers or {})}
    return Response(body, status_code=status, media_type=PROBLEM_JSON, headers=answer_headers)


def exception_handlers(
    unavailable: Sequence[type[Exception]] = (), unstorable: Sequence[type[Exception]] = ()
) -> dict[Any, Any]:
    """Handlers for Litestar; `unavailable` is what clients raise when their server is away (503).

    `unstorable` is what they raise for a value no validation foresaw, a NUL in a text above all (422).
    """
    handlers: dict[Any, Any] = {
        AppError: _app_error,
        ValidationException: _validation,
        HTTPException: _http,
        Exception: _unexpected,
    }
    handlers.update(dict.fromkeys(unavailable, _unavailable))
    handlers.update(dict.fromkeys(unstorable, _unstorable))
    return handlers


def _app_error(_: Request[Any, Any, Any], error: AppError) -> Response[dict[str, Any]]:
    return problem(
        error.status,
        error.reason,
        error.detail,
        title=error.title,
        errors=error.errors,
        headers=error.headers,
    )


def _validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    """Parameters that Litestar itself refused."""
    extra: Any = error.extra
    items = cast("list[dict[str, Any]]", extra) if isinstance(extra, list) else []
    if any(item.get("source") == "body" and item.get("key") == "data" for item in items):
        # bodies go through `body.JsonBody`; Litestar itself only notices that there is none
        return problem(400, "body.not_json", "the body is empty", title=BadRequestError.title)
    fields = [
        FieldProblem(
            str(getattr(item.get("source"), "value", item.get("source", "query"))),
            str(item.get("key", "")),
            _plain(str(item.get("message", ""))),
        )
        for item in items
    ]
    if not fields:
        missing = "Missing required" in error.detail
        fields = [FieldProblem("query", _quoted(error.detail), "required" if missing else error.detail)]
    return problem(422, InvalidError.code, summarize(fields), title=InvalidError.title, errors=fields)


def _http(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    code = _HTTP_CODES.get(error.status_code, f"http.{error.status_code}")
    return problem(error.status_code, code, error.detail, headers=error.headers)


def _unavailable(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.error("dependency.unavailable", error=error)
    return problem(
        503,
        UnavailableError.code,
        "a server behind this one does not answer; nothing was changed unless a version was returned",
        title=UnavailableError.title,
        headers={"retry-after": "1"},
    )


def _unstorable(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.warning("request.unstorable", error=f"{type(error).__name__}: {error}")
    detail = "a value of the request can't be stored: texts are valid Unicode without the character U+0000"
    return problem(422, InvalidError.code, detail, title=InvalidError.title)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.error("request.failed", error=error, method=request.method, path=request.url.path)
    return problem(
        500,
        "internal",
        "this is a mistake of the server; its log has the details under the correlation id",
        title=AppError.title,
    )


def summarize(fields: Sequence[FieldProblem]) -> str:
    """Say in one sentence what is wrong with several fields."""
    shown = "; ".join(f"{item.field or item.source}: {item.message}" for item in fields[:3])
    more = f"; and {len(fields) - 3} more" if len(fields) > 3 else ""
    return f"{shown}{more}"


def _quoted(detail: str) -> str:
    """Litestar names a missing parameter only inside its sentence, in quotes."""
    parts = detail.split("'")
    return parts[1] if len(parts) >= 3 else ""


def _plain(message: str) -> str:
    """Msgspec's message without its backticks: it is read by people, not rendered."""
    return message.replace("`", "")
