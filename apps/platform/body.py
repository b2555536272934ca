"""JSON bodies: strictly typed, every bad field reported, and NaN told apart from what is no JSON at all."""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Union, cast, get_args, get_origin

import msgspec
from litestar.dto import AbstractDTO

from apps.platform.errors import BadRequestError, FieldProblem, InvalidError, summarize

if TYPE_CHECKING:
    from collections.abc import Generator

    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)


class JsonBody(AbstractDTO[StructT], Generic[StructT]):
    """Has Litestar decode `data` with the strict `decode`; the OpenAPI page still shows the struct."""

    kind: ClassVar[type[Any]]

    def __class_getitem__(cls, kind: Any) -> type[Any]:
        """Bind the struct: `dto=JsonBody[EntityCreate]`."""
        if isinstance(kind, TypeVar):
            return cls
        return type(f"JsonBody[{kind.__name__}]", (cls,), {"kind": kind})

    def decode_bytes(self, value: bytes) -> Any:
        """Decode a request's body."""
        return decode(value, self.kind)

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        """Convert what Litestar has already decoded (forms)."""
        return convert(value, self.kind)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Nothing to prepare: the struct itself is the model."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003  # Litestar's signature
        schema_creator: SchemaCreator,
    ) -> Reference | Schema:
        """Describe the struct as it is."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(
        cls,
        model_type: type[Any],  # noqa: ARG003  # Litestar's signature
    ) -> Generator[DTOFieldDefinition]:
        """No field is renamed or left out."""
        yield from ()

    @classmethod
    def detect_nested_field(
        cls,
        field_definition: FieldDefinition,  # noqa: ARG003  # Litestar's signature
    ) -> bool:
        """Nested structs are msgspec's business."""
        return False


@lru_cache(maxsize=64)
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def decode(body: bytes, kind: type[T]) -> T:
    """Decode `body` or raise: 400 when it is no JSON, 422 with one entry per bad field otherwise."""
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # bad fields are a DecodeError too; `parse` raises when the trouble is the JSON
        raise invalid(problems(parse(body), kind)) from None
    except RecursionError:
        raise _too_deep() from None


def convert(raw: Any, kind: type[T]) -> T:
    """Convert what was decoded before, with the same errors as `decode`."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        raise invalid(problems(raw, kind)) from None


def parse(body: bytes) -> Any:
    """Read JSON of any shape; NaN and Infinity, which JSON has not, are a bad field and not bad JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        strict = str(error)
    except RecursionError:
        raise _too_deep() from None
    try:
        lenient: Any = json.loads(body)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise BadRequestError(f"the body is no JSON: {strict}", code="body.not_json") from None
    bad = [FieldProblem("body", path, "is not a finite number") for path in _not_finite(lenient, "")]
    if bad:
        raise invalid(bad)
    return lenient


def _too_deep() -> BadRequestError:
    return BadRequestError("the body is no JSON of ours: it is nested too deeply", code="body.not_json")


def invalid(found: list[FieldProblem]) -> InvalidError:
    """Wrap field problems as the one 422."""
    return InvalidError(summarize(found), errors=found)


def problems(raw: Any, kind: Any, path: str = "") -> list[FieldProblem]:
    """Return one entry per bad field of `raw` as a `kind`; msgspec alone stops at the first."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or not isinstance(raw, dict):
        return _one(raw, kind, path)
    given = cast("dict[str, Any]", raw)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found: list[FieldProblem] = []
    for name, field in fields.items():
        at = f"{path}.{name}" if path else name
        if name in given:
            found += problems(given[name], _struct_of(field.type), at)
        elif field.required:
            found.append(FieldProblem("body", at, "required"))
    if kind.__struct_config__.forbid_unknown_fields:
        found += [_unknown(name, list(fields), path) for name in given if name not in fields]
    # what only the struct as a whole can tell (its __post_init__)
    return found or _one(raw, kind, path)


def _one(raw: Any, kind: Any, path: str) -> list[FieldProblem]:
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        inner = where.rstrip("`").lstrip(".")
        at = f"{path}{'.' if path and inner and not inner.startswith('[') else ''}{inner}"
        return [FieldProblem("body", at, text.replace("`", ""))]
    return []


def _unknown(name: str, known: list[str], path: str) -> FieldProblem:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}"
    return FieldProblem("body", f"{path}.{name}" if path else name, f"unknown field; {hint}")


def _struct_of(kind: Any) -> Any:
    """Look through `Struct | None`, so that a nested struct reports its own fields."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    nothing = (type(None), msgspec.UnsetType)
    arguments = [item for item in get_args(kind) if item not in nothing]
    single = arguments[0] if len(arguments) == 1 else None
    return single if isinstance(single, type) and issubclass(single, msgspec.Struct) else kind


def _not_finite(raw: Any, path: str) -> list[str]:
    if isinstance(raw, float):
        return [] if raw - raw == 0 else [path]
    if isinstance(raw, dict):
        items = cast("dict[str, Any]", raw).items()
        return [bad for key, item in items for bad in _not_finite(item, f"{path}.{key}" if path else key)]
    if isinstance(raw, list):
        values = cast("list[Any]", raw)
        return [bad for place, item in enumerate(values) for bad in _not_finite(item, f"{path}[{place}]")]
    return []
