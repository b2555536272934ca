"""Every control on its own examples and on all variants of them: adding a control adds no test.

Each control brings stacks that violate it and stacks that keep it. Made from them: every input left out, not known
yet, or secret; the resource alone; and the same stack by other names of its types.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from policies import pack, reader
from policies.control import Control
from policies.example import JUDGED, Example
from tests.policies.examples import (
    UNKNOWN,
    Path,
    Verdicts,
    alone,
    at,
    changed,
    judge,
    places,
    secrets,
    without,
)

# decided by the day, not by the stack
NO_PAIR = {"SLP-BUD-004"}
CONTROLS = [control for control in pack.controls() if control.id not in NO_PAIR]
WORD = "hunter2-hunter2-hunter2"

every_control = pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)


@pytest.mark.parametrize("control", pack.controls(), ids=lambda control: control.id)
def test_every_control_says_what_why_and_how_and_shows_it(control: Control) -> None:
    """Title, reason, remedy and a pair of examples are there for report, page, tests and mutants."""
    assert control.title
    assert len(control.rationale) > 30
    assert len(control.remediation) > 10
    assert (control.one is None) != (control.whole is None)
    assert control.id in NO_PAIR or (control.bad and control.good)
    assert control.id in NO_PAIR or control.references, "it names no page to read more"
    for stack in (*control.bad, *control.good):
        assert JUDGED in stack
        assert not control.applies_to or stack[JUDGED].type in control.applies_to


@every_control
def test_what_it_calls_bad_fails_and_blocks(control: Control) -> None:
    """Each violating stack is stopped, with the way out in the message."""
    for stack in control.bad:
        verdicts = judge(stack)
        assert verdicts.outcome(control.id) == "fail", stack
        assert any("fix: " in message for message in verdicts.blocking(control.id)), stack
        assert verdicts.broken() == []


@every_control
def test_what_it_calls_good_passes(control: Control) -> None:
    """Each compliant stack passes, and the control says nothing that stops it."""
    for stack in control.good:
        verdicts = judge(stack)
        assert verdicts.outcome(control.id) == "pass", (stack, verdicts.words())
        assert verdicts.broken() == []


@every_control
def test_with_an_input_unknown_it_never_takes_what_could_fail_for_a_pass(control: Control) -> None:
    """Where another value, or none, would fail, an unknown one is undecided, unless that it is given is enough."""
    undecided = False
    for stack in control.good:
        for name, path in places(stack):
            verdicts = judge(changed(stack, name, path, UNKNOWN), only=control)
            assert verdicts.broken() == [], (stack, name, path)
            outcome = verdicts.outcome(control.id)
            undecided = undecided or outcome == "undecided"
            if outcome == "pass" and not _enough(control, path):
                for other in _others(control, stack, name, path):
                    assert judge(other, only=control).outcome(control.id) == "pass", (
                        stack,
                        name,
                        path,
                        other,
                    )
    for stack in control.bad:
        for name, path in places(stack):
            verdicts = judge(changed(stack, name, path, UNKNOWN), only=control)
            assert verdicts.broken() == [], (stack, name, path)
            undecided = undecided or verdicts.outcome(control.id) == "undecided"
            allowed = {"fail", "undecided", "silent", *({"pass"} if _enough(control, path) else ())}
            assert verdicts.outcome(control.id) in allowed, (stack, name, path)
    assert undecided or control.presence, "no unknown input leaves it undecided"


def _enough(control: Control, path: Path) -> bool:
    words = ".".join(str(part) for part in path if not isinstance(part, int))
    return any(
        each == "*" or words == each or words.endswith(f".{each}") or each.startswith(f"{words}.")
        for each in control.presence
    )


def _others(control: Control, stack: Example, name: str, path: Path) -> Iterator[Example]:
    """The same stack with what the bad ones say at that place."""
    for bad in control.bad:
        value = at(bad, name, path)
        same = name in bad and name in stack and bad[name].type == stack[name].type
        if same and value is not None and value != at(stack, name, path):
            yield changed(stack, name, path, value)


@every_control
def test_with_an_input_left_out_it_breaks_nothing(control: Control) -> None:
    """Whatever a program leaves out, every control of the pack still answers."""
    for stack in (*control.bad[:3], *control.good[:3]):
        for name, path in places(stack):
            assert judge(without(stack, name, path), only=control).broken() == [], (stack, name, path)
        for name in stack:
            rest = {other: resource for other, resource in stack.items() if other != name}
            assert judge(rest, only=control).broken() == [], (stack, name)


@every_control
def test_of_a_resource_that_says_nothing_it_says_what_it_declares(control: Control) -> None:
    """The absent case: AWS's own default decides, and the control knows it."""
    assert judge(alone(control.good[0]), only=control).outcome(control.id) == control.absent


@pytest.mark.parametrize(
    "control",
    [control for control in CONTROLS if "production" in control.title],
    ids=lambda control: control.id,
)
def test_what_only_production_needs_is_asked_of_production_alone(control: Control) -> None:
    """Where `production` is off, the first of what the control calls bad is let be."""
    assert judge(control.bad[0], only=control).outcome(control.id) == "fail"
    assert judge(control.bad[0], only=control, production=False).outcome(control.id) in ("silent", "pass")


@every_control
def test_it_knows_its_types_by_every_token(control: Control) -> None:
    """Aliased tokens (`aws:alb/…`, the `…V2` of S3) are no way around a control."""
    for stacks, outcome in ((control.bad, "fail"), (control.good, "pass")):
        for stack in stacks:
            for rename in _renamings(stack):
                assert judge(stack, rename, only=control).outcome(control.id) == outcome, rename


def _renamings(stack: Example) -> Iterator[dict[str, str]]:
    types = {resource.type for resource in stack.values()}
    for renamed in reader.SYNONYMS:
        found = {type_: renamed(type_) for type_ in types if renamed(type_) != type_}
        if found:
            yield found


@every_control
def test_it_never_prints_a_secret(control: Control) -> None:
    """Controls see secrets in plain text: no message of any control holds one."""
    for stack in control.bad[:3]:
        for variant in secrets(stack, WORD):
            verdicts: Verdicts = judge(variant, only=control)
            leaks = [line for line in verdicts.words().splitlines() if WORD in line]
            assert leaks == [], variant
            assert verdicts.broken() == []


@cache
def _ids() -> tuple[str, ...]:
    return tuple(control.id for control in pack.controls())


def test_ids_are_unique() -> None:
    """One id, one control: waivers and reports speak of it."""
    assert len(_ids()) == len(set(_ids()))
