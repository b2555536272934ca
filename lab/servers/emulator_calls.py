"""The emulator's list of calls: who called which operation on what, each kind of call once.

Every request of a service passes here, presigned ones and those of other languages' SDKs too, so no call can
be missed. A service is known by its session token, which the lab sets to the family of its task definition.
Of a body only what names a resource is kept: values may be anybody's secrets.

It runs in the emulator's own interpreter, next to `emulator_serve.py`: the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

MAX_CALLS = 20_000  # kinds of calls; one line more says that there were others
MAX_BODY = 4 * 1024 * 1024  # above what SQS and SNS take (1 MiB); a longer one is recorded without its names
# what names a resource, in the services' own spelling
NAMES = frozenset(
    (
        *("QueueUrl", "QueueName", "TopicArn", "TargetArn", "SecretId", "Name", "Names", "Path", "KeyId"),
        *("TableName", "IndexName", "logGroupName", "logGroupIdentifier", "cluster", "tasks", "task"),
        *("taskDefinition", "EventBusName", "FunctionName", "RoleArn", "stateMachineArn", "Namespace"),
        *("StreamName", "StreamARN", "modelId", "SecretIdList"),
    )
)
_SCOPE = re.compile(r"(?:Credential=)?[^/\s,]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/,\s]+)/aws4_request")


class Calls:
    """Wraps the emulator's ASGI app and appends each new kind of call to a file."""

    def __init__(self, app: Any, path: Path) -> None:
        self.app = app
        self.path = path
        self.seen: set[str] = set()
        with contextlib.suppress(OSError):  # the emulator was started again within one run
            self.seen.update(path.read_text(encoding="utf-8").splitlines())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note the request once its body has passed; the answer does not matter: a refused call is a call."""
        if scope["type"] != "http" or scope["path"].startswith("/_ministack/"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        body, kept = bytearray(), wants_body(headers)

        async def listen() -> Any:
            message = await receive()
            if kept and message["type"] == "http.request" and len(body) <= MAX_BODY:
                body.extend(message.get("body", b""))
            return message

        try:
            await self.app(scope, listen, send)
        finally:
            query = scope.get("query_string", b"").decode("latin-1")
            self.note(call(scope["method"], scope["path"], query, headers, bytes(body)))

    def note(self, found: dict[str, Any] | None) -> None:
        """Append it, unless it is there; a full disk costs the line, not the request."""
        if found is None or len(self.seen) > MAX_CALLS:
            return
        line = json.dumps(found, sort_keys=True)
        if line in self.seen:
            return
        if len(self.seen) == MAX_CALLS:
            line = json.dumps({"more": True})
        self.seen.add(line)
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def wants_body(headers: dict[str, str]) -> bool:
    """Whether the operation or its resource stands in the body; objects of S3 are not looked into."""
    kind = headers.get("content-type", "")
    return "x-amz-target" in headers or kind.startswith("application/x-www-form-urlencoded")


def call(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
    """One request as a line of the recording; None when it is not signed, so nobody's."""
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = {name.lower(): value for name, value in pairs}
    scope = _SCOPE.search(headers.get("authorization", "") or asked.get("x-amz-credential", ""))
    if scope is None:
        return None
    who = headers.get("x-amz-security-token") or asked.get("x-amz-security-token", "")
    found: dict[str, Any] = {"who": who, "service": scope["service"], "region": scope["region"]}
    if "x-amz-target" in headers:
        found["operation"] = headers["x-amz-target"].rpartition(".")[2]
        found["params"] = _json_names(body)
    elif headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        found["operation"] = fields.get("Action", "")
        found["params"] = {name: value for name, value in fields.items() if name.split(".")[0] in NAMES}
    elif "/operation/" in path:  # smithy's RPC protocols
        found["operation"], found["params"] = path.rpartition("/")[2], {}
    else:
        found["method"], found["path"] = method, unquote(path)
        found["query"] = sorted(name for name, _ in pairs if not name.lower().startswith(("x-amz-", "x-id")))
        if "x-amz-copy-source" in headers:
            found["source"] = unquote(headers["x-amz-copy-source"])
    return found


def _json_names(body: bytes) -> dict[str, Any] | None:
    """The names of resources in a JSON body; None when it was too long to keep or is no JSON."""
    if len(body) > MAX_BODY:
        return None
    try:
        document: Any = json.loads(body or b"{}")
    except ValueError:
        return None
    return _names(document) or {}


def _names(value: Any) -> Any:
    if isinstance(value, list):
        # an entry that names nothing stays: to EventBridge it is one for the default bus
        found = [_names(each) for each in cast("list[Any]", value)]
        return [each for place, each in enumerate(found) if each not in found[:place]]
    if not isinstance(value, dict):
        return None
    kept: dict[str, Any] = {}
    for name, inner in cast("dict[str, Any]", value).items():
        if name == "RequestItems":  # of DynamoDB's batches: its keys are tables
            kept[name] = sorted(inner)
        elif name in NAMES and _plain(inner):
            kept[name] = inner
        elif name in {"Entries", "TransactItems", "Get", "Put", "Update", "Delete", "ConditionCheck"}:
            deeper = _names(inner)
            if deeper:
                kept[name] = deeper
    return kept


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in cast("list[Any]", value))
    return isinstance(value, str)
