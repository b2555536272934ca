"""`slipway check` on a small project with a secret, a waiver, an unknown and a program that may end half-way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import cli

JUDGED = Path(__file__).with_name("judged")
SECRET = "correct-horse-battery-staple"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(JUDGED, tmp_path / "judged", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def check(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`slipway check` there: exit code, stdout, stderr."""
    monkeypatch.chdir(project)

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["check", "--no-color", *words])
        return code, *capsys.readouterr()

    return run


def test_every_format_is_written_and_none_has_the_secret(check: Run, project: Path) -> None:
    """A plain parameter with a secret value: found, and its value nowhere."""
    words = ("--config", "config.dev.json", "--waivers", "waivers.yaml")
    names = [f"--{name}={name}.out" for name in ("sarif", "junit", "markdown")]
    code, out, err = check("dev", "--json", *words, *names)
    assert code == 1
    data = json.loads(out)
    written = [path.read_text(encoding="utf-8") for path in sorted(project.glob("*.out"))]
    assert len(written) == 3
    _, plain, _ = check("dev", "-v", *words)
    for body in (out, err, plain, *written):
        assert SECRET not in body
    for body in (out, plain, *written):
        assert "SLP-ENC-003" in body
        assert "OPS-12" in body or "media" in body
        assert "aws:location/map:Map" in body or body.startswith(("{", "<?xml"))
    assert data["unknownTypes"]["aws:location/map:Map"] == 1
    place = next(each["place"] for each in data["findings"] if each["resource"] == "queue mail")
    assert place == {"file": "__main__.py", "line": 15}
    assert {each["error"]["code"] for each in data["findings"]} >= {
        "control-failed",
        "control-undecided",
        "control-waived",
    }


def test_findings_stand_under_their_tier_and_resource(check: Run) -> None:
    """The tier is the tag or the component; the line of the program stands beside the resource."""
    _, out, _ = check("dev", "--config", "config.dev.json", "--waivers", "waivers.yaml")
    jobs = out.index("\ntier jobs\n")
    assert out.index("\ntier data\n") < out.index("  key key  __main__.py:25\n") < jobs
    mail = out.index("  queue mail  __main__.py:15\n")
    assert jobs < mail < out.index("fail SLP-ENC-002 [high] has no kmsMasterKeyId", mail)
    assert "\nwaived\n  waived SLP-ENC-002 [high] queue audio: has no kmsMasterKeyId\n" in out
    assert "fail the waiver of SLP-ENC-002 for *::video (media) covers nothing" in out


def test_a_program_that_ends_half_way_is_an_error_beside_the_rest(check: Run) -> None:
    """What it had registered is judged resource by resource; relations and budget are not; exit 2."""
    code, out, err = check("half")
    assert code == 2
    assert "fail SLP-ENC-003" in out
    assert "not judged: relations and budget, because the program ended before its graph was whole" in out
    assert "SLP-BUD-001" not in out
    assert "error: the program of stack 'half' failed: ValueError: the password is [secret]" in err
    assert "__main__.py:24" in err
    code, out, err = check("half", "--json", "-v")
    data = json.loads(out)
    assert (code, data["ok"], data["complete"], data["error"]["code"]) == (2, False, False, "synth")
    assert data["findings"]
    assert "Traceback" in err
    assert SECRET not in out + err


def test_mistakes_of_both_files_leave_the_rest_of_the_report(check: Run, project: Path) -> None:
    """An unknown policy and a waiver without an owner: two messages, exit 2, and every finding."""
    (project / "config.dev.json").write_text('{"budgett": {}}', encoding="utf-8")
    text = (project / "waivers.yaml").read_text(encoding="utf-8")
    (project / "waivers.yaml").write_text(text.replace("    owner: media\n", "", 1), encoding="utf-8")
    code, out, err = check("dev", "--config", "config.dev.json", "--waivers", "waivers.yaml")
    assert code == 2
    assert "budgett" in err
    assert "waivers[0].owner: found nothing; allowed: a value: the key is required" in err
    assert "queue audio" in out
    assert "fail SLP-ENC-002" in out


def test_a_file_that_cannot_be_written_is_said(check: Run, project: Path) -> None:
    """The name, the cause and a hint; nothing is lost in silence."""
    code, _, err = check("dev", "--sarif", str(project / "Pulumi.yaml" / "x.sarif"))
    assert code == 2
    assert "x.sarif cannot be written" in err
