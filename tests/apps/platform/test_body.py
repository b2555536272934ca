"""Bodies and errors without a server: every bad field, NaN, and what is no JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.api.entities.schemas import BulkItem, EntityInput
from apps.platform.body import convert, decode, problems
from apps.platform.errors import AppError, FieldProblem, InvalidError, summarize


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1)]
    name: str = ""


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    one: Inner
    maybe: Inner | None = None
    many: list[Inner] = []


def fields(raw: Any) -> list[str]:
    """Names of the bad fields of an Outer."""
    return [item.field for item in problems(raw, Outer)]


def test_nested_fields_are_named_with_their_path() -> None:
    """Missing, wrong and unknown fields, also inside nested and optional structs."""
    assert fields({"one": {"size": 0, "nam": ""}, "maybe": {"name": 1}}) == [
        "one.size",
        "one.nam",
        "maybe.size",
        "maybe.name",
    ]
    assert fields({"one": {"size": 1}, "many": [{"size": 1}, {"size": "x"}]}) == ["many[1].size"]
    assert fields({}) == ["one"]
    assert fields([]) == [""]
    assert problems({"one": {"size": 1}}, Outer) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entity_or_a_client_error(data: bytes) -> None:
    """No bytes lead to anything but a value, a 400 or a 422 with fields."""
    try:
        decode(data, EntityInput)
    except AppError as error:
        refused = error
    else:
        return
    assert (isinstance(refused, InvalidError) and refused.errors) or refused.reason == "body.not_json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)
ROW = st.fixed_dictionaries(
    {"id": JSON, "kind": JSON, "lat": JSON, "lon": JSON},
    optional={"heading": JSON, "attributes": JSON, "access": JSON, "extra": JSON},
)


@given(ROW)
@settings(max_examples=50, deadline=None)
def test_any_row_is_accepted_or_explained(row: Any) -> None:
    """What msgspec refuses has at least one named problem, what it accepts has none."""
    try:
        accepted = msgspec.convert(row, BulkItem)
    except msgspec.ValidationError:
        found = problems(row, BulkItem)
        assert found
        assert summarize(found)
    else:
        assert problems(row, BulkItem) == []
        assert -90 <= accepted.lat <= 90


@given(JSON)
@settings(max_examples=50)
def test_python_json_is_read_or_refused(value: Any) -> None:
    """What `json.dumps` writes, NaN included, is never taken for malformed JSON."""
    body = json.dumps({"kind": "a", "lat": 1, "lon": 1, "attributes": {"v": value}}).encode()
    with contextlib.suppress(InvalidError):
        assert decode(body, EntityInput).kind == "a"


def test_convert_reports_like_decode() -> None:
    """Both ways in give the same problems."""
    raw = {"kind": "a", "lat": 100, "lon": 1}
    with pytest.raises(InvalidError) as one:
        decode(json.dumps(raw).encode(), EntityInput)
    with pytest.raises(InvalidError) as two:
        convert(raw, EntityInput)
    assert one.value.errors == two.value.errors


def test_a_summary_is_short() -> None:
    """Three problems are told, the rest is counted."""
    many = [FieldProblem("body", f"f{number}", "required") for number in range(5)]
    assert summarize(many) == "f0: required; f1: required; f2: required; and 2 more"


def test_every_error_has_its_own_code_and_a_client_status() -> None:
    """Codes are unique among the classes, statuses are errors, titles are words."""
    classes = AppError.__subclasses__()
    assert len({item.code for item in classes}) == len(classes)
    assert all(400 <= item.status < 600 and item.title for item in classes)
