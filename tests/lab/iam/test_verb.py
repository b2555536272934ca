"""`slipway iam` on the project's own stacks, by the recording of a whole local run that the tests ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.cli import main

ROOT = Path(__file__).parents[3]
CALLS = Path(__file__).with_name("local_calls.jsonl")
GOLDEN = """\
stack prod: 11 roles, 1 kinds of call from local_calls.jsonl
  ok   network-flow                3 needs
  ok   database-monitoring         nothing needed, 1 waived
  ok   migrations-execution        10 needs
  ok   migrations-task             2 needs (1 recorded)
  ok   migrations-runner-lambda    8 needs
  ok   api-execution               11 needs
  ok   api-task                    nothing needed
  ok   websocket-execution         11 needs
  ok   websocket-task              nothing needed
  ok   filter-processor-execution  11 needs
  ok   filter-processor-task       nothing needed

waived database-monitoring: arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole is not in the stack, \
so what it allows is not known
  waived: RDS itself writes its operating system metrics; AWS keeps the policy and names it for exactly this use \
(platform)

passed: 56 needs of 11 roles; 1 waived
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the project, with a state folder that is empty."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))


def test_prod_has_exactly_what_a_local_run_called(capsys: pytest.CaptureFixture[str]) -> None:
    """The golden: each role's needs counted, the one thing that cannot be read waived with its reason."""
    assert main(["iam", "prod", "--no-color", "--calls", str(CALLS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    order = sorted(range(1, 12), key=lambda place: lines[place].split()[1])
    wanted = GOLDEN.splitlines()
    # roles come in the order of their registration, which the program's threads decide
    assert [lines[place] for place in order] == sorted(wanted[1:12], key=lambda line: line.split()[1])
    assert [lines[0], *lines[12:]] == [wanted[0], *wanted[12:]]


def test_one_document_and_a_failing_exit_without_the_waiver(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Local without waivers: exit 1, the finding as data, every need with its reason."""
    (tmp_path / "none.yaml").write_text("waivers: []\n")
    words = ["iam", "--json", "--calls", str(CALLS), "--waivers", str(tmp_path / "none.yaml")]
    assert main(words) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["passed"], data["counts"]["undecided"], data["recording"]["calls"]) == (False, 1, 1)
    (migrations,) = [each for each in data["roles"] if each["role"] == "migrations-task"]
    assert [(need["action"], need["reason"]) for need in migrations["needs"]] == [
        ("secretsmanager:GetSecretValue", "recorded: secretsmanager GetSecretValue"),
        (
            "kms:Decrypt",
            "secretsmanager:GetSecretValue of what is encrypted (recorded: secretsmanager GetSecretValue)",
        ),
    ]


def test_without_a_recording_the_way_to_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is composed."""
    assert main(["iam", "prod", "--no-color"]) == 2
    shown = capsys.readouterr().err
    assert "error: there is no recording of what the services of stack 'local' call" in shown
    assert "hint: slipway up, use the stack, then again; or name a recording with --calls FILE" in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "waivers: [{role: r, kind: denied, reason: a sentence of reasons, owner: me, expires: 2027-01-01}]",
            "kind",
        ),
        ("waivers: [{role: r, knd: excess}]", "knd: Extra inputs are not permitted"),
        ("- 3", "has no attribute"),
    ],
)
def test_a_broken_waiver_file_is_one_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: str
) -> None:
    """The file and the key."""
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    assert main(["iam", "--calls", str(CALLS), "--waivers", str(path)]) == 2
    shown = capsys.readouterr().err
    assert "the waiver file waivers.yaml cannot be read" in shown
    assert words in shown
