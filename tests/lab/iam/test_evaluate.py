"""The evaluator: IAM's own rules as a table, and properties that hold for every document."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.iam.conditions import UnsupportedConditionError, holds
from lab.iam.evaluate import Request, context, decide
from policies.documents import Condition, parse
from policies.reader import UNKNOWN, UndecidedError

QUEUE = "arn:aws:sqs:us-east-1:111111111111:jobs"


def document(*statements: dict[str, Any]) -> list[Any]:
    """One document as the evaluator takes it."""
    return [parse({"Version": "2012-10-17", "Statement": list(statements)}, "policy")]


def outcome(
    statement: dict[str, Any], action: str = "sqs:ReceiveMessage", on: str = QUEUE, **keys: Any
) -> str:
    """The verdict on one request."""
    return decide(document({"Effect": "Allow", **statement}), Request(action, on, context(keys))).outcome


@pytest.mark.parametrize(
    ("statement", "action", "resource", "allowed"),
    [
        ({"Action": "sqs:ReceiveMessage", "Resource": QUEUE}, "sqs:ReceiveMessage", QUEUE, True),
        ({"Action": "SQS:receive?essage", "Resource": QUEUE}, "sqs:ReceiveMessage", QUEUE, True),
        ({"Action": "sqs:Receive", "Resource": QUEUE}, "sqs:ReceiveMessage", QUEUE, False),
        ({"Action": "*", "Resource": "*"}, "sqs:ReceiveMessage", QUEUE, True),
        ({"Action": "sqs:*", "Resource": QUEUE.upper()}, "sqs:ReceiveMessage", QUEUE, False),
        ({"Action": "sqs:*", "Resource": "arn:aws:sqs:*:*:jobs"}, "sqs:ReceiveMessage", QUEUE, True),
        ({"Action": "sqs:*", "Resource": "arn:aws:sqs:*:jobs"}, "sqs:ReceiveMessage", QUEUE, False),
        ({"Action": "sqs:*", "Resource": "arn:aws:sqs:*"}, "sqs:ReceiveMessage", QUEUE, False),
        ({"Action": "sqs:*", "NotResource": QUEUE}, "sqs:ReceiveMessage", QUEUE, False),
        ({"Action": "sqs:*", "NotResource": QUEUE}, "sqs:ReceiveMessage", f"{QUEUE}2", True),
        ({"NotAction": "sqs:*", "Resource": "*"}, "sqs:ReceiveMessage", QUEUE, False),
        ({"NotAction": "iam:*", "Resource": "*"}, "sqs:ReceiveMessage", QUEUE, True),
        ({"Action": "ecr:X", "Resource": "*"}, "ecr:X", "*", True),
        ({"Action": "ecr:X", "Resource": QUEUE}, "ecr:X", "*", False),
        ({"Action": "sqs:*"}, "sqs:ReceiveMessage", QUEUE, False),
        (
            {"Action": "logs:*", "Resource": "arn:aws:logs:r:1:log-group:/a:*"},
            "logs:PutLogEvents",
            "arn:aws:logs:r:1:log-group:/a:log-stream:x",
            True,
        ),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], action: str, resource: str, allowed: bool) -> None:
    """Case counts in ARNs and not in actions; wildcards stay within a part of an ARN, but for the last."""
    assert (outcome(statement, action, resource) == "allowed") is allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "given_", "expected"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", ["a*"], "ab", False),
        ("StringEquals", ["a"], "A", False),
        ("StringEqualsIgnoreCase", ["a"], "A", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a"], None, True),
        ("StringLike", ["a?c*"], "abcd", True),
        ("StringNotLike", ["a*"], "b", True),
        ("StringEquals", ["a"], None, False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], "b", False),
        ("NumericLessThan", ["10"], "9", True),
        ("NumericLessThan", ["10"], "nine", False),
        ("NumericGreaterThanEquals", ["10"], "10", True),
        ("NumericNotEquals", ["10"], "10.0", False),
        ("DateGreaterThan", ["2026-01-01T00:00:00Z"], "2026-06-01T00:00:00Z", True),
        ("DateLessThan", ["2026-01-01"], "1767225601", False),
        ("Bool", ["true"], "True", True),
        ("Bool", ["false"], "true", False),
        ("IpAddress", ["10.0.0.0/8"], "10.1.2.3", True),
        ("NotIpAddress", ["10.0.0.0/8"], "10.1.2.3", False),
        ("IpAddress", ["10.0.0.0/8"], "2001:db8::1", False),
        ("ArnLike", ["arn:aws:sqs:*:1:q*"], "arn:aws:sqs:r:1:queue", True),
        ("ArnEquals", ["arn:aws:sqs:*:1:q"], "arn:aws:sqs:r:1:q", True),
        ("ArnLike", ["arn:aws:sqs:*"], "arn:aws:sqs:r:1:q", False),
        ("ArnNotLike", ["arn:aws:sqs:r:1:q"], "arn:aws:sqs:r:1:p", True),
        ("Null", ["true"], None, True),
        ("Null", ["false"], None, False),
        ("Null", ["false"], "x", True),
        ("ForAnyValue:StringEquals", ["a", "b"], ("b", "c"), True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ("a", "b"), True),
        ("ForAnyValue:StringNotEquals", ["a"], None, False),
        ("ForAllValues:StringEquals", ["a", "b"], ("b", "c"), False),
        ("ForAllValues:StringEquals", ["a", "b"], None, True),
        ("ForAllValues:StringNotEquals", ["a"], ("b", "c"), True),
    ],
)
def test_conditions(operator: str, wanted: list[str], given_: Any, expected: bool) -> None:
    """Every operator in use, with the key present, absent and of several values."""
    keys = context({} if given_ is None else {"AWS:Key": given_})
    assert holds(Condition(operator, "aws:key", tuple(wanted)), keys) is expected


def test_what_the_evaluator_does_not_know_is_said() -> None:
    """An operator that IAM does not have, and several values where one is wanted."""
    for operator in ("StringAlmost", "ForSomeValues:StringEquals"):
        with pytest.raises(UnsupportedConditionError, match=operator):
            holds(Condition(operator, "k", ("a",)), context({"k": "a"}))
    with pytest.raises(UnsupportedConditionError, match="several values"):
        holds(Condition("StringEquals", "k", ("a",)), context({"k": ("a", "b")}))


def test_variables_stand_for_what_the_request_brings() -> None:
    """In ARNs and conditions; a star in a tag opens nothing, a missing one matches nothing, a default helps."""
    own = {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*"}
    key = "aws:PrincipalTag/team"
    assert outcome(own, "s3:GetObject", "arn:aws:s3:::b/red/x", **{key: "red"}) == "allowed"
    assert outcome(own, "s3:GetObject", "arn:aws:s3:::b/blue/x", **{key: "red"}) == "not allowed"
    assert outcome(own, "s3:GetObject", "arn:aws:s3:::b/blue/x", **{key: "*"}) == "not allowed"
    assert outcome(own, "s3:GetObject", "arn:aws:s3:::b/*/x", **{key: "*"}) == "allowed"
    assert outcome(own, "s3:GetObject", "arn:aws:s3:::b/red/x") == "not allowed"
    default = {**own, "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team, 'all'}/*"}
    assert outcome(default, "s3:GetObject", "arn:aws:s3:::b/all/x") == "allowed"
    star = {**own, "Resource": "arn:aws:s3:::b/${*}x${?}${$}"}
    assert outcome(star, "s3:GetObject", "arn:aws:s3:::b/*x?$") == "allowed"
    assert outcome(star, "s3:GetObject", "arn:aws:s3:::b/axb$") == "not allowed"


def test_an_unknown_part_is_undecided() -> None:
    """A verdict on half a document is none."""
    broken = parse({"Statement": {"Effect": "Allow", "Action": "a:B", "Resource": UNKNOWN}}, "policy")
    with pytest.raises(UndecidedError):
        decide([broken], Request("a:B", "*"))


WORDS = st.sampled_from(["sqs:*", "sqs:ReceiveMessage", "SQS:Send?essage", "s3:Get*", "*", "iam:PassRole"])
ARNS = st.sampled_from([QUEUE, f"{QUEUE}*", "*", "arn:aws:s3:::b/*", "arn:aws:sqs:*:*:?obs", f"{QUEUE}2"])
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])},
    optional={"Condition": st.just({"Bool": {"aws:SecureTransport": "true"}})},
).flatmap(
    lambda base: st.builds(
        lambda act, actions, on, arns: {**base, act: actions, on: arns},
        st.sampled_from(["Action", "NotAction"]),
        st.lists(WORDS, min_size=1, max_size=3),
        st.sampled_from(["Resource", "NotResource"]),
        st.lists(ARNS, min_size=1, max_size=3),
    )
)
REQUESTS = st.builds(
    lambda action, resource, secure: Request(action, resource, context({"aws:SecureTransport": secure})),
    st.sampled_from(["sqs:ReceiveMessage", "sqs:SendMessage", "s3:GetObject", "iam:PassRole"]),
    st.sampled_from([QUEUE, f"{QUEUE}2", "arn:aws:s3:::b/k", "*"]),
    st.sampled_from(["true", "false"]),
)
LISTS = st.lists(STATEMENTS, max_size=4)


@settings(max_examples=150, deadline=None)
@given(LISTS, STATEMENTS, REQUESTS)
def test_an_allow_never_takes_and_a_deny_never_gives(
    statements: list[dict[str, Any]], more: dict[str, Any], request: Request
) -> None:
    """One Allow more allows no less; one Deny more allows no more, and wins wherever it applies."""
    before = decide(document(*statements), request)
    wider = decide(document(*statements, {**more, "Effect": "Allow"}), request)
    narrower = decide(document(*statements, {**more, "Effect": "Deny"}), request)
    assert wider.allowed or not before.allowed
    assert before.allowed or not narrower.allowed
    if decide(document({**more, "Effect": "Allow"}), request).allowed:
        assert narrower.outcome == "denied"


@settings(max_examples=100, deadline=None)
@given(LISTS, REQUESTS, st.randoms())
def test_order_case_and_repetition_do_not_count(
    statements: list[dict[str, Any]], request: Request, random: Any
) -> None:
    """Statements in any order, in one document or several, twice, with actions in capitals."""
    expected = decide(document(*statements), request).outcome
    mixed = [dict(each) for each in [*statements, *statements]]
    random.shuffle(mixed)
    for each in mixed:
        for part in ("Action", "NotAction"):
            if part in each:
                each[part] = [word.upper() for word in each[part]]
    assert decide([one for each in mixed for one in document(each)], request).outcome == expected


@settings(max_examples=100, deadline=None)
@given(LISTS, LISTS, REQUESTS)
def test_a_boundary_only_takes_away(
    statements: list[dict[str, Any]], boundary: list[dict[str, Any]], request: Request
) -> None:
    """Allowed within a boundary is allowed by both; a boundary of everything changes nothing."""
    own = decide(document(*statements), request)
    edge = decide(document(*boundary), request)
    both = decide(document(*statements), request, document(*boundary))
    assert both.allowed == (own.allowed and edge.allowed)
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    assert decide(document(*statements), request, everything).outcome == own.outcome


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab", max_size=6))
def test_wildcards_are_the_shells_without_brackets(pattern: str, value: str) -> None:
    """Against an independent matcher, on resources."""
    statement = {"Action": "a:B", "Resource": f"arn:aws:s3:::{pattern}"}
    expected = fnmatch.fnmatchcase(value, pattern)
    assert (outcome(statement, "a:B", f"arn:aws:s3:::{value}") == "allowed") is expected
