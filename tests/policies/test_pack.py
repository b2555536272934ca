"""The pack as a whole: its configuration, a control that breaks, and how the engine loads the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pulumi_aws as aws
import pytest
import yaml

import policies
from policies import pack, settings
from policies.control import Control, Verdict
from policies.controls import encryption
from policies.graph import Graph, Node
from policies.settings import PackConfigError, Settings
from policies.waivers import Ledger
from tests.policies.support import judge

FOLDER = Path(policies.__file__).parent


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_the_shipped_configurations_are_valid(stack: str) -> None:
    """Each stack's file is checked whole, usage names included."""
    assert set(settings.load(FOLDER / f"config.{stack}.json")) == set(settings.SETTINGS)


def test_a_wrong_configuration_lists_every_mistake_with_the_nearest_key(tmp_path: Path) -> None:
    """The engine would ignore an unknown policy in silence: this does not."""
    path = tmp_path / "config.test.json"
    path.write_text(
        json.dumps(
            {
                "relatons": {},
                "resources": {"undecidd": "fail", "disabled": ["SLP-1"]},
                "budget": {"exposureFactor": 0, "usage": {"nat.gbb": 1}},
                "waivers": {"enforcementLevel": "maybe"},
                "relations": "sometimes",
            }
        ),
        encoding="utf-8",
    )
    with pytest.raises(PackConfigError) as caught:
        settings.load(path)
    text = str(caught.value)
    assert "relatons: no such policy; did you mean 'relations'?" in text
    assert "resources.undecidd: no such key; did you mean 'undecided'?" in text
    assert "budget.exposureFactor: Input should be greater than or equal to 1 (found 0)" in text
    assert "budget.usage.nat.gbb: no such price; did you mean 'nat.gb'?" in text
    assert "waivers.enforcementLevel: 'maybe' is none of advisory, mandatory, disabled" in text
    assert "relations: 'sometimes' is none of" in text
    assert len(caught.value.problems) == 7


def test_a_control_that_raises_is_a_finding_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others still run, and the message shows no value of the resource."""

    def broken(_node: Node, _settings: Settings) -> Verdict:
        raise ValueError("the value was s3cr3t")

    control = Control(
        "SLP-ENC-999", "Broken", "low", "encryption", rationale="-", remediation="-", one=broken
    )
    monkeypatch.setattr(pack, "_CONTROLS", (control, *encryption.CONTROLS))
    judged = judge(lambda: aws.kms.Key("key", enable_key_rotation=False))
    finding = judged.one("SLP-ENC-999", "key")
    assert finding.outcome.value == "fail"
    assert "the control itself failed: ValueError at broken:" in finding.message
    assert "s3cr3t" not in finding.text()
    assert judged.of("SLP-ENC-005", "fail") == ["key"]


def test_a_whole_stack_control_keeps_what_it_found_before_it_broke() -> None:
    """A failure half-way is one more finding beside the others."""

    def half(graph: Graph, _settings: Settings):
        yield next(iter(graph)), Verdict(policies.control.Outcome.FAIL, "found")
        raise RuntimeError

    control = Control(
        "SLP-NET-999", "Half", "low", "private-network", rationale="-", remediation="-", whole=half
    )
    found = list(control.relate(Graph([Node("t", "urn", "n", {})]), Settings()))
    assert [finding.message[:30] for finding in found] == ["found", "the control itself failed: Run"]


def test_there_are_few_policies_so_that_large_stacks_stay_quick() -> None:
    """Each stack policy reads the whole stack anew: under ten of them, with many controls each."""
    built = pack.build(Ledger())
    assert len(built.policies) < 10
    assert {policy.name for policy in built.policies} == set(settings.SETTINGS)


def test_the_folder_is_a_policy_pack() -> None:
    """PulumiPolicy.yaml names the runtime, and a virtual environment that exists where it says."""
    document = yaml.safe_load((FOLDER / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert document["runtime"]["name"] == "python"
    assert document["runtime"]["options"]["virtualenv"] == "../.venv"
    assert document["version"] == pack.VERSION


def test_the_engine_can_start_it_from_its_own_folder() -> None:
    """Run as the engine runs it, it prints the port that it serves on."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(FOLDER)],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_pack_imports_nothing_of_the_project() -> None:
    """It can be published alone: a fresh interpreter that loads it has no app, component or lab in memory."""
    code = (
        "import sys, policies.pack as p; p.build();"
        "print([m for m in sys.modules if m.split('.')[0] in ('apps', 'components', 'lab', 'pulumi_aws')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
