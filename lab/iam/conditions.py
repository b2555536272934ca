"""Condition operators of IAM, each with a table row; what is not in the table is undecided, never guessed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lab.iam.patterns import Context, arn_like, equal, expand, like
from policies.documents import Condition

Compare = Callable[[str, str], bool]  # (the policy's, the request's)


class UnsupportedConditionError(Exception):
    """The evaluator does not know the operator, or the request has no single value where one is wanted."""


def _ordered(read: Callable[[str], Any], wanted: Callable[[Any, Any], bool]) -> Compare:
    def compare(policy: str, request: str) -> bool:
        try:
            return wanted(read(request), read(policy))
        except (ValueError, InvalidOperation, TypeError):
            return False  # IAM: a value of another type is no match

    return compare


def _date(text: str) -> float:
    try:
        return float(text)  # seconds since 1970
    except ValueError:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _address(policy: str, request: str) -> bool:
    try:
        return ipaddress.ip_address(request) in ipaddress.ip_network(policy, strict=False)
    except ValueError:
        return False


def _folded(policy: str, request: str) -> bool:
    return equal(policy.casefold(), request.casefold())


def _numbers(kind: str, read: Callable[[str], Any]) -> dict[str, tuple[Compare, bool]]:
    return {
        f"{kind}equals": (_ordered(read, lambda one, other: one == other), False),
        f"{kind}notequals": (_ordered(read, lambda one, other: one == other), True),
        f"{kind}lessthan": (_ordered(read, lambda one, other: one < other), False),
        f"{kind}lessthanequals": (_ordered(read, lambda one, other: one <= other), False),
        f"{kind}greaterthan": (_ordered(read, lambda one, other: one > other), False),
        f"{kind}greaterthanequals": (_ordered(read, lambda one, other: one >= other), False),
    }


# operator in lower case -> how one value compares, and whether the operator says no to that
OPERATORS: Final[dict[str, tuple[Compare, bool]]] = {
    "stringequals": (equal, False),
    "stringnotequals": (equal, True),
    "stringequalsignorecase": (_folded, False),
    "stringnotequalsignorecase": (_folded, True),
    "stringlike": (like, False),
    "stringnotlike": (like, True),
    **_numbers("numeric", Decimal),
    **_numbers("date", _date),
    "bool": (_folded, False),
    "binaryequals": (equal, False),
    "ipaddress": (_address, False),
    "notipaddress": (_address, True),
    "arnequals": (arn_like, False),  # the two are one, says the page above
    "arnlike": (arn_like, False),
    "arnnotequals": (arn_like, True),
    "arnnotlike": (arn_like, True),
}


def holds(condition: Condition, context: Context) -> bool:
    """Whether one key under one operator is as the policy wants it."""
    operator = condition.operator.lower()
    values = context.get(condition.key.lower(), ())
    if operator == "null":
        return any((wanted.lower() == "true") == (not values) for wanted in condition.values)
    set_of, _, operator = operator.rpartition(":")
    if_exists = operator.endswith("ifexists")
    try:
        compare, negated = OPERATORS[operator.removesuffix("ifexists")]
    except KeyError:
        raise UnsupportedConditionError(f"operator {condition.operator} is not known here") from None
    if not values:
        return if_exists or (negated and set_of != "foranyvalue") or set_of == "forallvalues"
    expanded = [expand(one, context) for one in condition.values]
    if negated and None in expanded:
        return False  # a variable without a value: the statement is left out, says IAM
    wanted = [each for each in expanded if each is not None]

    def fits(value: str) -> bool:
        return any(compare(one, value) for one in wanted) != negated

    if set_of == "foranyvalue":
        return any(map(fits, values))
    if set_of == "forallvalues":
        return all(map(fits, values))
    if set_of:
        raise UnsupportedConditionError(f"operator {condition.operator} is not known here")
    value, *others = values
    if others:
        raise UnsupportedConditionError(
            f"{condition.key} has several values and {condition.operator} wants one"
        )
    return fits(value)
