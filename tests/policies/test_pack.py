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
from policies import config, pack, settings
from policies.control import Control, Verdict
from policies.controls import encryption
from policies.graph import Graph, Node
from policies.pricing import table as prices
from policies.settings import PackConfigError, Settings
from policies.waivers import Ledger
from tests.policies.support import judge

FOLDER = Path(policies.__file__).parent


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_the_shipped_configurations_are_valid(stack: str) -> None:
    """Each stack's file is checked whole, usage names included."""
    assert set(config.load(FOLDER / f"config.{stack}.json", pack.controls())) == set(settings.SETTINGS)


def test_a_wrong_configuration_lists_every_mistake_with_the_nearest_key(tmp_path: Path) -> None:
    """The engine would ignore an unknown policy in silence: this does not."""
    path = tmp_path / "config.test.json"
    path.write_text(
        json.dumps(
            {
                "relatons": {},
                "resources": {"undecidd": "fail", "disabled": ["SLP-1"], "undecided": "report"},
                "budget": {"exposureFactor": 0, "maxUnpriced": 2, "usage": {"nat.gbb": 1}},
                "waivers": {"enforcementLevel": "maybe"},
                "relations": "sometimes",
            }
        ),
        encoding="utf-8",
    )
    sound, problems = config.read(path, pack.controls())
    said = [str(problem) for problem in problems]
    assert said[0] == (
        "relatons: found an unknown policy; allowed: one of resources, relations, budget, waivers, undecided; "
        "nearest: relations"
    )
    assert said[1] == "resources.disabled: found a list; allowed: a mapping"
    assert said[2].startswith("resources.undecidd: found an unknown key; allowed: one of undecided, disabled")
    assert said[2].endswith("; nearest: undecided")
    assert said[3:] == [
        "budget.exposureFactor: found 0; allowed: 1.0 or more",
        f"budget.usage.nat.gbb: found an unknown price; allowed: {ANY_PRICE}; nearest: nat.gb",
        "waivers.enforcementLevel: found 'maybe'; allowed: one of advisory, mandatory, disabled",
        "relations.enforcementLevel: found 'sometimes'; allowed: one of advisory, mandatory, disabled",
    ]
    # what is sound applies
    assert sound == {
        "resources": {"undecided": "report"},
        "budget": {"maxUnpriced": 2},
        "waivers": {},
        "relations": {},
    }
    with pytest.raises(PackConfigError, match=r"config\.test\.json: 7 mistakes"):
        config.load(path)


ANY_PRICE = f"one of {len(prices.load().ids())} names"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("SLP-ENC-999", "found an unknown control or family"),
        ("encrytion", "nearest: encryption"),
        ("SLP-NET-001", "allowed: what may be waived; SLP-NET-001 may not"),
        ("private-network", "allowed: what may be waived; SLP-NET-001"),
    ],
)
def test_what_must_judge_cannot_be_switched_off(word: str, said: str, tmp_path: Path) -> None:
    """An unknown id with the nearest, and controls that no waiver covers: alone or by their family."""
    path = tmp_path / "config.test.json"
    reason = "there is no such thing in this stack"
    path.write_text(json.dumps({"relations": {"disabled": {word: reason}}}), encoding="utf-8")
    (problem,) = config.read(path, pack.controls())[1]
    assert problem.path == f"relations.disabled.{word}"
    assert said in str(problem)


def test_a_control_is_switched_off_with_a_reason_or_made_advisory() -> None:
    """Off: no verdict. Advisory: found, and reported by the policy that stops nothing."""

    def queue() -> None:
        aws.sqs.Queue("jobs", name="jobs")

    off = judge(queue, settings={"resources": {"disabled": {"SLP-ENC-002": "this stack has no keys"}}})
    assert off.of("SLP-ENC-002", "fail") == []
    soft = judge(queue, settings={"resources": {"advisory": ["SLP-ENC-002"]}})
    assert soft.of("SLP-ENC-002", "fail") == ["jobs"]
    said = [each.policyName for each in soft.diagnostics if "SLP-ENC-002" in each.message]
    assert said == ["undecided"]
    wrong = judge(queue, settings={"resources": {"advisory": ["SLP-ENC-992"]}})
    told = [each.message for each in wrong.diagnostics if "the configuration has a mistake" in each.message]
    assert ["resources.advisory.SLP-ENC-992: found an unknown control" in each for each in told] == [True]


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
