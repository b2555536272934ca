"""Policy documents: every form that IAM's grammar allows, and what is not known or not valid in one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.documents import Condition, DocumentError, Principal, Statement, matches, parse
from policies.reader import UNKNOWN, UndecidedError


def only(value: object) -> Statement:
    """The single statement of a document."""
    (statement,) = parse(value, "policy").statements
    return statement


def allow(**parts: Any) -> dict[str, Any]:
    """A document of one Allow for one action."""
    return {"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", **parts}}


@pytest.mark.parametrize("text", [False, True], ids=["object", "text"])
def test_text_and_object_are_read_alike(text: bool) -> None:
    """A list of one and the one itself are the same; conditions are flattened by operator and key."""
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "A",
                "Effect": "Deny",
                "NotAction": ["s3:*", "iam:Get?"],
                "NotResource": "arn:aws:s3:::b",
                "Principal": {"AWS": ["1", "2"], "Service": "ecs.amazonaws.com"},
                "Condition": {"Bool": {"aws:SecureTransport": False, "aws:Other": ["true"]}},
            }
        ],
    }
    given = json.dumps(document) if text else document
    assert only(given) == Statement(
        effect="Deny",
        sid="A",
        not_actions=("s3:*", "iam:Get?"),
        not_resources=("arn:aws:s3:::b",),
        principals=(Principal("AWS", "1"), Principal("AWS", "2"), Principal("Service", "ecs.amazonaws.com")),
        conditions=(
            Condition("Bool", "aws:SecureTransport", ("false",)),
            Condition("Bool", "aws:Other", ("true",)),
        ),
    )
    assert parse(given, "policy").version == "2012-10-17"


def test_everyone_is_known_in_both_spellings() -> None:
    """A bare star and the star of an AWS principal; a service's star is nobody."""
    assert [each.everyone for each in only(allow(Principal="*")).principals or ()] == [True]
    assert [each.everyone for each in only(allow(Principal={"AWS": "*"})).principals or ()] == [True]
    assert [each.everyone for each in only(allow(Principal={"Service": "*"})).principals or ()] == [False]
    assert [each.everyone for each in only(allow(NotPrincipal="*")).not_principals or ()] == [True]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (UNKNOWN, "policy"),
        ({"Statement": UNKNOWN}, "policy.Statement"),
        ({"Statement": [UNKNOWN]}, "policy.Statement.0"),
        (allow(Resource=UNKNOWN), "policy.Statement.0.Resource"),
        (allow(Sid="Send", Resource=["a", UNKNOWN]), "policy.Statement.Send.Resource"),
        (allow(Action=[UNKNOWN]), "policy.Statement.0.Action"),
        (allow(Principal=UNKNOWN), "policy.Statement.0.Principal"),
        (allow(Principal={"AWS": [UNKNOWN]}), "policy.Statement.0.Principal"),
        (allow(Condition=UNKNOWN), "policy.Statement.0.Condition"),
        (allow(Condition={"StringEquals": UNKNOWN}), "policy.Statement.0.Condition"),
        (allow(Condition={"StringEquals": {"a": ["b", UNKNOWN]}}), "policy.Statement.0.Condition"),
    ],
)
def test_an_unknown_part_is_named_and_the_rest_is_read(value: object, named: str) -> None:
    """Whoever needs the part is told which one; `decided` for other parts passes."""
    document = parse(value, "policy")
    with pytest.raises(UndecidedError) as caught:
        document.decided()
    assert caught.value.path == named
    part = named.rpartition(".")[2]
    if document.statements:
        assert document.decided("NotAction") is document
        with pytest.raises(UndecidedError):
            document.decided("NotAction", part)
    else:
        with pytest.raises(UndecidedError):
            document.decided("NotAction")


def test_what_is_known_beside_an_unknown_stays() -> None:
    """A wildcard next to an ARN that is not known yet is still a wildcard."""
    assert only(allow(Resource=["*", UNKNOWN])).resources == ("*",)


@pytest.mark.parametrize(
    "value",
    [
        "hunter2 is no JSON",
        "[]",
        3,
        {},
        {"Statement": "hunter2"},
        {"Statement": {"Effect": "hunter2", "Action": "a"}},
        {"Statement": {"Effect": "Allow"}},
        allow(NotAction="b"),
        allow(Resource=3),
        allow(Resourcee="b"),
        allow(Principal="hunter2"),
        allow(Principal={"User": "hunter2"}),
        allow(Condition="hunter2"),
        allow(Condition={"Bool": "hunter2"}),
    ],
)
def test_what_is_no_document_is_refused_without_its_values(value: object) -> None:
    """The message names the input and the part; a value may be secret and is left out."""
    with pytest.raises(DocumentError, match=r"^policy") as caught:
        parse(value, "policy")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "value", "any_case", "expected"),
    [
        ("s3:*", "s3:GetObject", True, True),
        ("S3:getobject", "s3:GetObject", True, True),
        ("S3:getobject", "s3:GetObject", False, False),
        ("s3:Get?bject", "s3:GetObject", True, True),
        ("s3:Get?", "s3:GetObject", True, False),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::a/b/c\nd", False, True),
        ("a[bc]", "ab", False, False),
        ("a.c", "abc", False, False),
        ("*", "", False, True),
    ],
)
def test_wildcards_are_those_of_iam(pattern: str, value: str, any_case: bool, expected: bool) -> None:
    """Star and question mark, and nothing else that a shell or a regular expression knows."""
    assert matches(pattern, value, any_case=any_case) is expected


def test_an_action_is_found_through_either_part() -> None:
    """Action names it, NotAction leaves it over."""
    assert only(allow(Action="SQS:Send*")).names_action("sqs:SendMessage")
    assert not only(allow(Action="SQS:Send*")).names_action("sqs:ReceiveMessage")
    left = only({"Statement": {"Effect": "Allow", "NotAction": "iam:*"}})
    assert left.names_action("sqs:SendMessage")
    assert not left.names_action("iam:PassRole")
    assert left.allows


def test_a_condition_is_found_in_any_case() -> None:
    """IAM's condition keys have no case."""
    statement = only(allow(Condition={"StringEquals": {"AWS:sourceaccount": "1"}}))
    assert statement.condition("aws:SourceAccount")[0].values == ("1",)
    assert statement.condition("aws:SourceArn") == ()
