"""Structs in the OpenAPI document as msgspec itself describes them: what is refused and what is said agree.

Litestar's own description loses a minimum of 0, the limits of a list's items, and that unknown fields are
refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

# the public interface of the plugins has no part that knows structs
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.openapi.spec import Reference, Schema

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.typing import FieldDefinition

_NAMED = frozenset({"properties"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf"})
_NESTED = frozenset({"items", "additionalProperties"})


class ExactStructs(StructSchemaPlugin):
    """Litestar registers the structs, msgspec says what they are."""

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """Describe a struct."""
        registered = super().to_openapi_schema(field_definition, schema_creator)
        kind: Any = field_definition.type_
        (reference,), components = msgspec.json.schema_components(
            (kind,), ref_template="#/components/schemas/{name}"
        )
        raw = components[reference["$ref"].rpartition("/")[2]]
        exact = cast("Schema", schema_of(raw))
        registered.properties = exact.properties
        registered.required = exact.required
        registered.additional_properties = exact.additional_properties
        registered.description = exact.description
        return registered


def schema_of(raw: dict[str, Any]) -> Schema | Reference:
    """Convert a JSON schema to Litestar's objects."""
    if "$ref" in raw:
        reference = Reference(ref=raw["$ref"])
        more = {name: value for name, value in raw.items() if name not in {"$ref", "default"}}
        return Schema(all_of=[reference, schema_of(more)]) if more else reference
    return Schema(**{_snake(name): _value(name, value) for name, value in raw.items()})


def _value(name: str, value: Any) -> Any:
    if name in _NAMED:
        return {field: schema_of(item) for field, item in value.items()}
    if name in _LISTED:
        return [schema_of(item) for item in value]
    if name in _NESTED and isinstance(value, dict):
        return schema_of(cast("dict[str, Any]", value))
    if name == "pattern":
        # Python's `$` also matches before a last line break, the dialect of JSON Schema knows no `\Z`
        return str(value).removesuffix(r"\Z") + "$" if str(value).endswith(r"\Z") else value
    return value


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)
