"""The page of all controls: current, complete, and written in real properties."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterator
from typing import Any

import pulumi_aws as aws
import pytest

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
