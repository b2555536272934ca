"""Data that a preview would lose: found in the engine's own document, and let through only where somebody agreed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from lab import replacements
from lab.errors import LabError
from tests.lab.cli import REPOSITORY, Cli

# what the engine said of the stack `local` when its database's name was changed (cut down to what the verb reads)
RECORDED = Path(__file__).parent / "previews" / "database-renamed.json"
DATABASE = "urn:pulumi:local::slipway::slipway:data:DataTier$slipway:data:Database$aws:rds/instance:Instance::database"
TODAY = dt.date(2026, 11, 27)


def agreement(**change: Any) -> dict[str, Any]:
    """One acknowledgement as the file has it."""
    return {
        "urn": DATABASE,
        "reason": "restored from last night's snapshot",
        "owner": "data@example.com",
        "expires": dt.date(2099, 1, 1),
        **change,
    }


def written(folder: Path, *entries: dict[str, Any]) -> Path:
    """A file of acknowledgements."""
    path = folder / "acknowledged.yaml"
    path.write_text(json.dumps({"acknowledged": list(entries)}, default=str), encoding="utf-8")
    return path


def test_the_engines_own_preview_of_a_renamed_database_is_a_finding() -> None:
    """Six resources would be replaced; the one that holds data is told, with the input that does it."""
    found = replacements.judge(replacements.steps(RECORDED), [], TODAY)
    assert [(each.urn, each.fate, each.because) for each in found] == [(DATABASE, "replaced", ("dbName",))]
    assert found[0].open


def test_an_acknowledgement_holds_until_its_last_day(tmp_path: Path) -> None:
    """On the day it still does; a day later the finding is open again and says why."""
    agreed = replacements.load(written(tmp_path, agreement(expires=TODAY)))
    steps = replacements.steps(RECORDED)
    (held,) = replacements.judge(steps, agreed, TODAY)
    (late,) = replacements.judge(steps, agreed, TODAY + dt.timedelta(days=1))
    assert not held.open
    assert late.open
    assert late.problem == "the acknowledgement of data@example.com expired on 2026-11-27"


@pytest.mark.parametrize("op", ["replace", "create-replacement", "delete-replaced", "delete"])
@pytest.mark.parametrize("type_", sorted(replacements.STATEFUL))
def test_every_type_that_holds_data_is_seen_in_every_way_to_lose_it(type_: str, op: str) -> None:
    """By itself and as a child of components."""
    for chain in ("", "slipway:data:DataTier$"):
        urn = f"urn:pulumi:prod::slipway::{chain}{type_}::it"
        assert [each.urn for each in replacements.judge([{"op": op, "urn": urn}], [], TODAY)] == [urn]


def test_what_holds_no_data_and_what_survives_are_no_findings() -> None:
    """A replaced task definition, an updated bucket, a new database."""
    head = "urn:pulumi:prod::slipway::"
    steps = [
        {"op": "replace", "urn": f"{head}aws:ecs/taskDefinition:TaskDefinition::api"},
        {"op": "update", "urn": f"{head}aws:s3/bucket:Bucket::logs"},
        {"op": "create", "urn": f"{head}aws:rds/instance:Instance::database"},
        {"op": "same", "urn": f"{head}aws:kms/key:Key::key"},
    ]
    assert replacements.judge(steps, [], TODAY) == []


def test_an_acknowledgement_that_covers_nothing_is_named_in_its_own_stack_only(tmp_path: Path) -> None:
    """The file holds those of all stacks, and a preview speaks of one."""
    other = agreement(urn=DATABASE.replace(":local::", ":prod::"))
    stale = agreement(urn=DATABASE.replace("::database", "::gone"))
    agreed = replacements.load(written(tmp_path, agreement(), other, stale))
    steps = replacements.steps(RECORDED)
    left = replacements.unused(steps, agreed, replacements.judge(steps, agreed, TODAY))
    assert [each.urn for each in left] == [stale["urn"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"urn": "urn:pulumi:local::*"}, "urn"),
        ({"reason": "because"}, "reason"),
        ({"expires": "soon"}, "expires"),
        ({"ticket": "X-1"}, "ticket"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_its_key(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """A pattern instead of a URN, no reason, no date, an unknown key."""
    with pytest.raises(LabError) as caught:
        replacements.load(written(tmp_path, agreement(**change)))
    assert words in str(caught.value.cause)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": null}', "not json"])
def test_a_preview_that_failed_is_not_taken_for_one_that_loses_nothing(tmp_path: Path, text: str) -> None:
    """Without steps there is no verdict."""
    path = tmp_path / "preview.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match="preview"):
        replacements.steps(path)


def test_the_verb_blocks_then_lets_through(tmp_path: Path) -> None:
    """Exit 1 with the URN and one way out; exit 0 with who agreed and why."""
    none, some = written(tmp_path), tmp_path / "some"
    some.mkdir()
    slipway = Cli(root=REPOSITORY, home=tmp_path / "home")
    blocked = slipway("replacements", str(RECORDED), "--acknowledged", str(none))
    assert blocked.code == 1
    assert DATABASE in blocked.stdout
    assert "fix:" in blocked.stdout
    agreed = slipway(
        "replacements", str(RECORDED), "--acknowledged", str(written(some, agreement())), "--json"
    )
    assert agreed.code == 0
    document = json.loads(agreed.stdout)
    assert document["passed"]
    assert document["findings"][0]["acknowledged"]["owner"] == "data@example.com"
