"""The page of all controls and `slipway explain`: current, complete, and written in real properties."""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Iterator
from typing import Any

import pulumi_aws as aws
import pytest

from lab.cli import main
from policies import pack, reference
from policies.control import Control
from policies.example import Resource, python, res


def test_the_page_is_current() -> None:
    """`make schema` writes what is in the repository."""
    # compared outside the assertion: a diff of 5,000 lines takes minutes
    current = reference.PATH.read_text(encoding="utf-8") == reference.page()
    assert current, "make schema"


def test_the_page_has_a_row_and_a_section_for_every_control() -> None:
    """Each id is in the table, with a link that leads to its section."""
    lines = reference.page().splitlines()
    for control in pack.controls():
        assert any(line.startswith(f"| [{control.id}](#{control.id.lower()}) |") for line in lines)
        assert f"## {control.id}" in lines


def _resources(control: Control) -> Iterator[Resource]:
    for stack in (*control.bad, *control.good):
        yield from stack.values()


@pytest.mark.parametrize("control", pack.controls(), ids=lambda control: control.id)
def test_examples_are_written_in_properties_that_pulumi_aws_has(control: Control) -> None:
    """A control that reads a misspelt property would pass all its own examples: the library knows the spelling."""
    for resource in _resources(control):
        kind = _class(resource.type)
        known = set(inspect.signature(kind._internal_init).parameters)
        given = {_keyword(python({"it": Resource(resource.type, {key: 1})})) for key in resource.inputs}
        assert given <= known, f"{resource.type} has no {', '.join(sorted(given - known))}"


def _class(token: str) -> Any:
    _, module, kind = token.split(":")
    name = module.partition("/")[0]
    return getattr(getattr(aws, f"{name}_" if keyword.iskeyword(name) else name), kind)


def _keyword(program: str) -> str:
    return program.splitlines()[2].strip().partition("=")[0]


@pytest.mark.parametrize("control", pack.controls(), ids=lambda control: control.id)
def test_snippets_are_python(control: Control) -> None:
    """What the page shows can be pasted: each snippet compiles."""
    for stack in (*control.bad, *control.good):
        compile(python(stack), control.id, "exec")


def test_references_secrets_and_documents_are_written_as_a_program_would() -> None:
    """Outputs by name, formats, secrets, JSON with and without outputs, and a user's own keys as they are."""
    text = python(
        {
            "it": res(
                "lambda/Function",
                role="${role.arn}",
                description="of ${role.name}",
                environment={"variables": {"someKey": {"fn::secret": "x"}}},
                tags={"costCentre": "1"},
            ),
            "rules": res("sqs/QueuePolicy", policy={"fn::toJSON": {"Resource": "${it.arn}"}}),
        }
    )
    assert text.startswith('it = aws.lambda_.Function(\n    "it",\n')
    assert "role=role.arn," in text
    assert 'description=pulumi.Output.format("of {}", role.name),' in text
    assert 'environment={"variables": {"someKey": pulumi.Output.secret("x")}},' in text
    assert 'tags={"costCentre": "1"},' in text
    assert 'policy=pulumi.Output.json_dumps({"Resource": it.arn}),' in text


def test_explain_shows_a_control(capsys: pytest.CaptureFixture[str]) -> None:
    """What, why, bad, good, fix and references."""
    assert main(["explain", "slp-enc-005"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "SLP-ENC-005 Keys rotate",
        "why:",
        "enable_key_rotation=False",
        "fix:",
        "kms-controls.html",
    ):
        assert words in shown


def test_explain_finds_a_control_by_the_id_of_another_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """`RDS.3` and `CKV_AWS_7` lead to the controls that answer them, as a document too."""
    assert main(["explain", "CKV_AWS_7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in document["controls"]] == ["SLP-ENC-005"]
    assert "SLP-ENC-001" in [each.id for each in reference.find("rds.3")]


def test_explain_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an id, each control on a line of its family."""
    assert main(["explain"]) == 0
    shown = capsys.readouterr().out
    assert all(control.id in shown for control in pack.controls())


def test_explain_of_an_unknown_id_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the cause and the ids that look like it."""
    assert main(["explain", "SLP-NET-0011"]) == 2
    shown = capsys.readouterr().err
    assert "control 'SLP-NET-0011' is unknown" in shown
    assert "SLP-NET-001" in shown
