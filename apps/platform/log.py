"""Logs as JSON lines on stdout: a fixed event name, its fields, and the trace it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from apps.platform import telemetry

#: A field whose name holds one of these never reaches a log, whatever its value.
SECRET_NAMES: Final = ("password", "secret", "token", "authorization", "credential", "cookie", "private_key")
REDACTED: Final = "[redacted]"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
#: Longest text of one field: a log line must not carry a request body.
_MAX_TEXT: Final = 4000


class Log:
    """A logger whose message is an event name (`noun.verb`) and whose facts are fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """Report what only somebody who debugs wants to know."""
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Report what happened as it should."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Report what was survived."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        """Report what failed, with the traceback of `error` when given."""
        self._emit(logging.ERROR, event, fields, error)

    def exception(self, event: str, **fields: Any) -> None:
        """Report the exception being handled, with its traceback."""
        self._emit(logging.ERROR, event, fields, sys.exc_info()[1])

    def _emit(
        self, level: int, event: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=error)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; lines of libraries become the event `log.message`."""

    def __init__(self, *, stack: str = "", service: str = "") -> None:
        super().__init__()
        self._base = {key: value for key, value in (("stack", stack), ("service", service)) if value}

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`; never raises, whatever the fields hold."""
        fields: dict[str, Any] | None = getattr(record, "fields", None)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "log.message" if fields is None else record.getMessage(),
            **self._base,
            "logger": record.name,
        }
        trace = telemetry.current()
        if trace is not None:
            line["traceparent"] = trace.traceparent
            line["correlation_id"] = trace.correlation_id
        if fields is None:
            line["message"] = _short(record.getMessage())
        else:
            line.update((key, redact(key, value)) for key, value in fields.items() if key not in line)
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = _short(f"{type(error).__name__}: {error}")
            line["traceback"] = "".join(traceback.format_exception(error))[-_MAX_TEXT:]
        return _encode(line)


@lru_cache(maxsize=1024)  # names of fields are few
def _is_secret(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in SECRET_NAMES)


def redact(name: str, value: Any) -> Any:
    """Hide what must not be logged, by the name of the field (also inside dicts and lists)."""
    if _is_secret(name):
        return REDACTED
    if isinstance(value, dict):
        return {str(key): redact(str(key), item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a dict of anything
    if isinstance(value, (list, tuple)):
        return [redact("", item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # a list of anything
    return _short(value) if isinstance(value, str) else value


def configure(*, level: str, stack: str = "", service: str = "") -> None:
    """Send every log of this process to stdout as JSON lines; idempotent."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(stack=stack, service=service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # libraries report each step at info; what they survive or fail at is what an operator reads
    for name in ("botocore", "urllib3", "httpx", "httpcore", "asyncio", "psycopg.pool"):
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"


def _text(value: object) -> str:
    return _short(str(value))


# `json.dumps` with arguments makes an encoder each time
_encode: Final = json.JSONEncoder(default=_text, ensure_ascii=False).encode
