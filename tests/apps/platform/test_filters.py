"""The saved filter contract: what matches, and which conditions are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.contracts.filters import Condition, SavedFilter, holds, matches, matches_any

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)


@pytest.mark.parametrize(
    ("op", "wanted", "actual", "result"),
    [
        ("eq", "a", "a", True),
        ("eq", 1, 1.0, True),
        ("eq", 1, True, False),
        ("eq", None, None, True),
        ("ne", "a", "b", True),
        ("ne", "a", None, True),
        ("in", ["a", 2], 2, True),
        ("in", ["a", 1], True, False),
        ("gt", 5, 6, True),
        ("gt", 5, 5, False),
        ("gte", 5, 5, True),
        ("lt", "b", "a", True),
        ("lte", 5, 5.5, False),
        ("gt", 5, "6", False),
        ("gt", 5, True, False),
        ("lt", 5, None, False),
        ("exists", None, 0, True),
        ("exists", True, None, False),
        ("exists", False, None, True),
    ],
)
def test_one_condition(op: Any, wanted: Any, actual: Any, result: bool) -> None:
    """Each operator on present, absent, null, number, text and boolean."""
    attributes = {} if actual is None else {"x": actual}
    assert holds(Condition("x", op, wanted), attributes) is result
    if actual is None:
        assert holds(Condition("x", op, wanted), {"x": None}) is result


@pytest.mark.parametrize(
    ("op", "value"),
    [
        ("gt", None),
        ("gt", True),
        ("lt", [1]),
        ("in", []),
        ("in", "abc"),
        ("in", [[1]]),
        ("in", list(range(101))),
        ("exists", "yes"),
        ("eq", {"a": 1}),
        ("eq", float("nan")),
        ("ne", "x" * 257),
    ],
)
def test_values_an_operator_cannot_use(op: Any, value: Any) -> None:
    """A condition that could never be meant is refused when it is made, also through msgspec."""
    with pytest.raises(ValueError, match="on 'x'"):
        Condition("x", op, value)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"attribute": "x", "op": op, "value": value}, Condition)


def test_all_conditions_and_kinds_must_hold() -> None:
    """A filter is a conjunction; several filters are alternatives; none restricts nothing."""
    high = SavedFilter("1", "high", ("aircraft",), (Condition("alt", "gt", 10), Condition("cs", "eq", "A")))
    assert matches(high, "aircraft", {"alt": 11, "cs": "A"})
    assert not matches(high, "aircraft", {"alt": 11, "cs": "B"})
    assert not matches(high, "ship", {"alt": 11, "cs": "A"})
    ships = SavedFilter("2", "ships", ("ship",))
    assert matches_any((high, ships), "ship", {})
    assert not matches_any((high,), "ship", {})
    assert matches_any((), "ship", {})


@given(op=st.sampled_from(["eq", "gt", "gte", "lt", "lte"]), wanted=SCALARS, actual=SCALARS)
def test_no_attribute_breaks_the_matcher(op: Any, wanted: Any, actual: Any) -> None:
    """Whatever callers store, a condition answers true or false; eq and ne are opposites."""
    try:
        condition = Condition("x", op, wanted)
    except ValueError:
        return
    assert holds(condition, {"x": actual}) in {True, False}
    same = Condition("x", "eq", wanted)
    assert holds(same, {"x": actual}) is not holds(Condition("x", "ne", wanted), {"x": actual})


@given(wanted=st.integers() | st.floats(allow_nan=False, allow_infinity=False), actual=st.integers())
def test_order_is_total_on_numbers(wanted: float, actual: int) -> None:
    """Of gt, eq and lt exactly one holds, and gte and lte are their unions."""
    results = {
        op: holds(Condition("x", op, wanted), {"x": actual}) for op in ("gt", "eq", "lt", "gte", "lte")
    }
    assert [results["gt"], results["eq"], results["lt"]].count(True) == 1
    assert results["gte"] is (results["gt"] or results["eq"])
    assert results["lte"] is (results["lt"] or results["eq"])
