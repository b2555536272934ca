"""The API's reference page: the OpenAPI document as plain HTML, without a script or another origin."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, cast

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

if TYPE_CHECKING:
    from litestar import Request

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color-scheme:light dark}
section{border-top:1px solid #8884;padding:.6rem 0}h3{margin:.2rem 0}table{border-collapse:collapse}
td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top;font-weight:normal}th{opacity:.7}
code{background:#8882;padding:.1em .3em;border-radius:.2em}
.m{display:inline-block;min-width:4.5em;font-weight:600}
"""


class ReferencePage(OpenAPIRenderPlugin):
    """Lists operations with parameters and fields; `openapi.json` beside it is for tools."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  # Litestar's signature
        """Render the document."""
        return page(openapi_schema).encode()


def config() -> OpenAPIConfig:
    """Where the document is, and how callers authenticate."""
    return OpenAPIConfig(
        title="Slipway API",
        version="1",
        description=(
            "Entities on a live map, saved filters, and snapshots of viewports. Every answer carries "
            "traceparent and x-correlation-id; every error is application/problem+json with a code."
        ),
        path="/schema",
        render_plugins=[ReferencePage(path="/"), JsonRenderPlugin(), YamlRenderPlugin()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
            }
        ),
        security=[{"bearer": []}],
        tags=[
            Tag("entities", "What moves on the map"),
            Tag("filters", "What you want to see of it"),
            Tag("messages", "Beside the map: to users, and to all who listen to a channel"),
        ],
    )


def page(document: dict[str, Any]) -> str:
    """Render an OpenAPI document."""
    info = document["info"]
    schemas = cast("dict[str, Any]", document.get("components", {}).get("schemas", {}))
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} v{escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        '<p>For tools: <a href="/schema/openapi.json">openapi.json</a>, ',
        '<a href="/schema/openapi.yaml">openapi.yaml</a>. Send <code>Authorization: Bearer TOKEN</code>.</p>',
        "<h2>Operations</h2>",
    ]
    parts += [
        _operation(path, method, item[method])
        for path, item in sorted(document["paths"].items())
        for method in _METHODS
        if method in item
    ]
    parts.append("<h2>Objects</h2>")
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    parts.append("</body></html>")
    return "".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = [
        _row(item["name"], item["in"], item.get("schema", {}), required=bool(item.get("required")))
        for item in operation.get("parameters", [])
    ]
    rows += [
        _row("(body)", "body", content.get("schema", {}), required=True)
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    answers = ", ".join(f"<code>{escape(status)}</code>" for status in operation.get("responses", {}))
    return (
        f'<section><h3><span class="m">{method.upper()}</span> <code>{escape(path)}</code></h3>'
        f"<p>{escape(operation.get('summary') or '')}. {escape(operation.get('description') or '')}</p>"
        f"<table>{''.join(rows)}</table><p>Answers: {answers}</p></section>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", []))
    rows = [
        _row(field, "", item, required=field in required)
        for field, item in schema.get("properties", {}).items()
    ]
    return (
        f'<section id="{escape(name)}"><h3><code>{escape(name)}</code></h3>'
        f"<p>{escape(schema.get('description') or '')}</p><table>{''.join(rows)}</table></section>"
    )


def _row(name: str, place: str, schema: dict[str, Any], *, required: bool) -> str:
    # limits of an optional value stand with its type
    for option in cast("list[dict[str, Any]]", schema.get("anyOf") or []):
        schema = {**option, **schema}
    notes = ["required" if required else "", str(schema.get("description") or "")]
    notes += [
        f"{key} {schema[key]}" for key in ("minimum", "maximum", "maxLength", "maxItems") if key in schema
    ]
    return (
        f"<tr><td><code>{escape(name)}</code></td><th>{escape(place)}</th><td>{_type(schema)}</td>"
        f"<th>{escape(', '.join(note for note in notes if note))}</th></tr>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "allOf" in schema:
        # the others only restrict the first
        return _type(cast("list[dict[str, Any]]", schema["allOf"])[0])
    several = cast("list[dict[str, Any]]", schema.get("oneOf") or schema.get("anyOf") or [])
    if several:
        return " | ".join(_type(item) for item in several)
    kind: Any = schema.get("type", "any")
    if kind == "array":
        return f"[{_type(schema.get('items', {}))}]"
    if "enum" in schema:
        return escape(" | ".join(str(item) for item in schema["enum"]))
    names = cast("list[Any]", kind) if isinstance(kind, list) else [kind]
    return escape(" | ".join(str(getattr(item, "value", item)) for item in names))
