"""The life of each stack under the real engine: proved, made, left alone, edited, refreshed, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lab import replacements
from lab.check import judge
from lab.synth import synth
from policies import evidence
from tests.engine.engine import ROOT, Engine, Run

pytestmark = [pytest.mark.timeout(900)]
REPLACING = {"replace", "create-replacement", "delete-replaced", "delete"}


def replaced(run: Run) -> list[str]:
    """What a preview would remove or make anew; an invocation is no thing but a run, and another one is another run."""
    urns = [urn for op, urns in run.ok().steps().items() if op in REPLACING for urn in urns]
    return [urn for urn in urns if "aws:lambda/invocation:Invocation::" not in urn]


def test_the_pack_says_under_the_engine_what_check_says(engine: Engine) -> None:
    """Control by control and resource by resource: the same outcome, for the same reason, by the same path."""
    run = engine.proved
    theirs = engine.verdicts()
    report = judge.check(synth(engine.project, engine.stack), folder=engine.project / "policies")
    ours = evidence.rows(report.findings)
    assert run.code == (1 if report.blocking else 0), run.said
    assert len(theirs) > 50
    by_key = {(row["control"], row["urn"]): row["outcome"] for row in theirs}
    assert by_key == {(row["control"], row["urn"]): row["outcome"] for row in ours}
    assert theirs == ours


def test_the_engine_registers_what_the_lab_composes(engine: Engine) -> None:
    """The same URNs: what is proved here is what is deployed, to the last child of a component."""
    urns = {urn for urns in engine.proved.steps().values() for urn in urns}
    composed = {resource.urn for resource in synth(engine.project, engine.stack)}
    assert {urn for urn in urns if "pulumi:pulumi:Stack" not in urn} == composed


def test_up_makes_everything_and_a_second_preview_has_nothing_to_do(engine: Engine) -> None:
    """Every resource exists once, each with an id of its own, and the program asks for the same again."""
    engine.up().ok()
    custom = [each for each in engine.state() if each["custom"] and not each["type"].startswith("pulumi:")]
    assert len(engine.cloud.left()) == len(custom) > 100
    engine.preview("--expect-no-changes").ok()


def test_a_refresh_finds_no_drift_where_there_is_none(engine: Engine) -> None:
    """What was read back is what was made, the inline policies of roles too."""
    engine.refresh("--preview-only", "--expect-no-changes").ok()


def test_a_refresh_finds_what_was_changed_by_hand(engine: Engine) -> None:
    """A policy of a role that somebody widened is seen by its name, and so is a rule that is gone."""
    policy = next(each for each in engine.state() if each["type"] == "aws:iam/rolePolicy:RolePolicy")
    rule = next(
        each
        for each in engine.state()
        if each["type"] == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    )
    good = engine.cloud.read(policy["type"], policy["id"])
    there = engine.cloud.read(rule["type"], rule["id"])
    assert good is not None
    assert there is not None
    try:
        engine.cloud.write(policy["type"], policy["id"], {**good, "policy": '{"Version": "2012-10-17"}'})
        engine.cloud.delete(rule["type"], rule["id"])
        run = engine.refresh("--preview-only", "--expect-no-changes")
    finally:
        engine.cloud.write(policy["type"], policy["id"], good)
        engine.cloud.write(rule["type"], rule["id"], there)
    assert run.code != 0, run.said
    assert policy["urn"].rsplit("::", 1)[-1] in run.out
    assert rule["urn"].rsplit("::", 1)[-1] in run.out


@pytest.fixture
def edited(engine: Engine):
    """The stack's file as it was, after a test that edits it."""
    path = engine.project / f"Pulumi.{engine.stack}.yaml"
    before = path.read_text(encoding="utf-8")
    yield engine
    path.write_text(before, encoding="utf-8")


def test_one_more_zone_replaces_nothing(edited: Engine) -> None:
    """Addresses are planned by zone: a zone more is subnets more, and no other resource is made anew."""
    path = edited.project / f"Pulumi.{edited.stack}.yaml"
    network = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]["slipway:network"]
    more = min({*"abcd"} - set(network["zones"]))
    edited.configure({"slipway:network": {**network, "zones": [*network["zones"], more]}})
    run = edited.preview_json().ok()
    assert len([urn for urn in run.steps()["create"] if urn.endswith(f"-{more}")]) > 3
    assert run.events["changeSummary"]["same"] > 100
    assert replaced(run) == []


def test_a_change_of_lifecycle_replaces_nothing(edited: Engine) -> None:
    """A stack becomes retained, or disposable, in place."""
    path = edited.project / f"Pulumi.{edited.stack}.yaml"
    now = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]["slipway:lifecycle"]
    edited.configure({"slipway:lifecycle": "disposable" if now == "retained" else "retained"})
    run = edited.preview_json().ok()
    assert run.steps()["update"]
    assert replaced(run) == []


def test_a_replaced_database_is_stopped_until_somebody_agrees(edited: Engine) -> None:
    """Another first database is another instance: refused where it is protected, else told by `slipway replacements`."""
    path = edited.project / f"Pulumi.{edited.stack}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]["slipway:data"]
    edited.configure({"slipway:data": {**data, "database": {**data["database"], "name": "renamed"}}})
    run = edited.preview_json()
    database = next(each["urn"] for each in edited.state() if each["type"] == "aws:rds/instance:Instance")
    if edited.stack == "prod":
        assert run.code != 0
        assert "protect" in run.out + run.err
        return
    preview = edited.folder / "preview.json"
    preview.write_text(run.ok().out, encoding="utf-8")
    found = replacements.judge(replacements.steps(preview), [])
    assert [(each.urn, each.fate, each.because, each.open) for each in found] == [
        (database, "replaced", ("dbName",), True)
    ]


def test_destroy_removes_all_but_what_is_kept(engine: Engine) -> None:
    """Nothing is left of a disposable stack; of a retained one what is protected is refused, and kept at last."""
    held = [each for each in engine.state() if each.get("protect")]
    retained = [each for each in engine.state() if each.get("retainOnDelete") and each["custom"]]
    kept = sorted(engine.cloud.path(each["type"], each["id"]).name for each in retained)
    first = engine.destroy()
    if engine.stack != "prod":
        first.ok()
        assert held == []
        assert engine.cloud.left() == []
        return
    assert first.code != 0
    assert held
    engine.run("state", "unprotect", "--all", "--yes", flags=False).ok()
    engine.destroy().ok()
    assert "aws:rds/instance:Instance" in {each["type"] for each in retained}
    assert engine.cloud.left() == kept


def test_no_run_left_a_trace_in_the_project() -> None:
    """The engine wrote its salts into copies only."""
    for path in Path(ROOT).glob("Pulumi.*.yaml"):
        assert "encryptionsalt" not in json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
