"""Waivers: what they cover, and what is wrong with a waiver itself."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pulumi_aws as aws
import pytest
import yaml

from policies import waivers
from policies.waivers import Waiver, WaiverError
from tests.policies.programs import Net
from tests.policies.support import judge

TODAY = dt.date(2026, 11, 23)


def waiver(control: str = "SLP-ENC-002", urn: str = "*::jobs", expires: str = "2027-01-31") -> Waiver:
    """A valid waiver for the queue."""
    return Waiver(
        control=control,
        urn=urn,
        reason="the queue holds public data only",
        owner="platform",
        ticket="OPS-7",
        compensating="nobody outside the VPC reaches it",
        expires=dt.date.fromisoformat(expires),
    )


def queue() -> None:
    """A queue without a key."""
    aws.sqs.Queue("jobs", name="jobs")


def about_waivers(given: list[Waiver]) -> list[str]:
    """What the pack says of the waivers themselves."""
    judged = judge(queue, waivers=given, today=TODAY)
    return [each.message for each in judged.diagnostics if each.policyName == "waivers"]


def test_a_waiver_lets_a_finding_through_and_is_counted() -> None:
    """The finding is there with the reason and the owner, and does not block."""
    judged = judge(queue, waivers=[waiver()], today=TODAY)
    assert judged.of("SLP-ENC-002", "waived") == ["jobs"]
    assert judged.blocking("SLP-ENC-002") == []
    assert judged.one("SLP-ENC-002", "jobs").waiver == (
        "the queue holds public data only (platform, OPS-7, until 2027-01-31; "
        "instead: nobody outside the VPC reaches it)"
    )
    assert about_waivers([waiver()]) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (waiver(expires="2026-11-22"), "expired on 2026-11-22"),
        (waiver(urn="*::other"), "covers nothing"),
        (waiver(control="SLP-ENC-992"), "names no control of this pack; the nearest is SLP-ENC-"),
        (waiver(control="SLP-NET-001"), "cannot be waived"),
    ],
)
def test_a_bad_waiver_is_a_finding_itself(bad: Waiver, words: str) -> None:
    """Expired, unused, misspelt or for what is never waived."""
    messages = about_waivers([bad])
    assert len(messages) == 1
    assert words in messages[0]


def test_an_expired_waiver_covers_nothing_any_more() -> None:
    """The finding blocks again on the day after."""
    judged = judge(queue, waivers=[waiver(expires="2026-11-22")], today=TODAY)
    assert judged.of("SLP-ENC-002", "fail") == ["jobs"]


def test_a_waiver_that_covers_too_much_is_too_broad() -> None:
    """One pattern over many resources is a switched-off control."""

    def many() -> None:
        for number in range(21):
            aws.sqs.Queue(f"queue-{number}", name=f"queue-{number}")

    judged = judge(many, waivers=[waiver(urn="*::queue-*")], today=TODAY)
    said = [each.message for each in judged.diagnostics if each.policyName == "waivers"]
    assert ["covers 21 resources (20 allowed): too broad" in message for message in said] == [True]


@pytest.mark.parametrize(
    "pattern", ["*", "**", "?*", "urn:*", "urn:pulumi:*::*", "urn:pulumi:*::*::*::*", "*::*"]
)
def test_a_pattern_that_matches_everything_is_refused_when_it_is_read(pattern: str, tmp_path: Path) -> None:
    """It would switch a control off; the message says what a pattern must name."""
    path = written(tmp_path, [entry(urn=pattern)])
    found, problems = waivers.read(path)
    assert found == []
    assert [str(problem) for problem in problems] == [
        (
            f"waivers[0].urn: found {pattern!r}; allowed: a pattern that names a stack, a type or a resource "
            "(this one matches everything)"
        )
    ]


def test_a_waiver_of_another_stack_is_not_unused_here() -> None:
    """One file for all stacks: what names `prod`, or another project, is judged there only."""
    there = [
        waiver(urn="urn:pulumi:prod::*::jobs"),
        waiver(urn="urn:pulumi:*::other::*aws:sqs/queue:Queue::jobs"),
    ]
    assert about_waivers(there) == []
    assert judge(queue, waivers=there, today=TODAY).of("SLP-ENC-002", "fail") == ["jobs"]
    here = waiver(urn="urn:pulumi:t*::*::other")
    assert ["covers nothing" in each for each in about_waivers([here])] == [True]


def test_a_finding_about_the_stack_itself_is_waived_by_that_word() -> None:
    """It has no URN for a pattern to match."""
    judged = judge(queue, waivers=[waiver(control="SLP-BUD-001", urn="stack")], today=TODAY)
    assert judged.one("SLP-BUD-001").outcome.value == "waived"


def test_the_private_subnet_proof_cannot_be_waived() -> None:
    """Some findings have no exception."""

    def program() -> None:
        net = Net()
        net.service("jobs", net.public.id)

    judged = judge(program, waivers=[waiver(control="SLP-NET-001")], today=TODAY)
    assert judged.of("SLP-NET-001", "fail") == ["jobs"]


def entry(**changes: str) -> dict[str, str]:
    """A sound waiver as the file has it, with changes."""
    return {key: str(value) for key, value in waiver().model_dump(mode="json").items()} | changes


def written(folder: Path, entries: list[dict[str, str]]) -> Path:
    """A file of them."""
    path = folder / "waivers.yaml"
    path.write_text(yaml.safe_dump({"waivers": entries}), encoding="utf-8")
    return path


def test_the_shipped_file_loads() -> None:
    """Without a mistake."""
    assert waivers.read() == (waivers.load(), [])


def test_all_mistakes_of_a_file_are_told_together_and_the_sound_ones_apply(tmp_path: Path) -> None:
    """File, key path, what was found and what is allowed, with the nearest key."""
    wrong = {**entry(expires="soon", reason="because"), "tickett": "OPS-8"}
    del wrong["ticket"]
    path = written(tmp_path, [entry(), wrong])
    found, problems = waivers.read(path)
    assert found == [waiver()]
    assert len(problems) == 4
    with pytest.raises(WaiverError) as caught:
        waivers.load(path)
    assert str(caught.value).splitlines() == [
        "waivers.yaml: 4 mistakes",
        "  waivers[1].reason: found 'because'; allowed: at least 15 characters",
        "  waivers[1].ticket: found nothing; allowed: a value: the key is required",
        "  waivers[1].expires: found 'soon'; allowed: a day, such as 2027-01-31",
        (
            "  waivers[1].tickett: found an unknown key; allowed: one of control, urn, reason, owner, ticket, "
            "expires, compensating; nearest: ticket"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("waivers: [", "the file: found what cannot be read; allowed: YAML"),
        ("- a", "the file: found a list; allowed: `waivers:` with a list"),
        ("waivers: {a: 1}", "waivers: found a mapping; allowed: a list"),
        ("waivers: [5]", "waivers[0]: found 5; allowed: a mapping"),
        ("waiver: []", "waiver: found an unknown key; allowed: waivers; nearest: waivers"),
    ],
)
def test_a_file_of_another_shape_says_what_it_should_be(text: str, words: str, tmp_path: Path) -> None:
    """Never a traceback."""
    path = tmp_path / "waivers.yaml"
    path.write_text(text, encoding="utf-8")
    found, problems = waivers.read(path)
    assert found == []
    assert [words in str(problem) for problem in problems] == [True]
