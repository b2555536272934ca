"""Waivers: what they cover, and what is wrong with a waiver itself."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pulumi_aws as aws
import pytest

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
    assert judged.one("SLP-ENC-002", "jobs").waiver == "the queue holds public data only (platform)"
    assert about_waivers([waiver()]) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (waiver(expires="2026-11-22"), "expired on 2026-11-22"),
        (waiver(urn="*::other"), "covers nothing"),
        (waiver(control="SLP-XXX-999"), "names no control"),
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

    judged = judge(many, waivers=[waiver(urn="*")], today=TODAY)
    said = [each.message for each in judged.diagnostics if each.policyName == "waivers"]
    assert ["too broad" in message for message in said] == [True]


def test_the_private_subnet_proof_cannot_be_waived() -> None:
    """Some findings have no exception."""

    def program() -> None:
        net = Net()
        net.service("jobs", net.public.id)

    judged = judge(program, waivers=[waiver(control="SLP-NET-001")], today=TODAY)
    assert judged.of("SLP-NET-001", "fail") == ["jobs"]


def test_the_shipped_file_loads_and_a_broken_one_says_why(tmp_path: Path) -> None:
    """A waiver without a reason, an owner or a date is refused with the key that is missing."""
    assert waivers.load() == []
    path = tmp_path / "waivers.yaml"
    path.write_text("waivers:\n  - {control: SLP-ENC-002, urn: '*'}\n", encoding="utf-8")
    with pytest.raises(WaiverError, match="reason: Field required; owner: Field required; expires"):
        waivers.load(path)
    path.write_text("waivers: [", encoding="utf-8")
    with pytest.raises(WaiverError, match="cannot be read"):
        waivers.load(path)
