"""`slipway explain`: a control's page in the terminal, found by any catalogue's id."""

from __future__ import annotations

import json

import pytest

from lab.cli import main
from policies import pack, reference


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
