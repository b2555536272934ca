"""The schemas of waivers.yaml and config.<stack>.json: current, and of one mind with the pack's own checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from policies import config, schema, waivers

FOLDER = Path(schema.__file__).parent
WAIVER = {
    "control": "SLP-ENC-002",
    "urn": "*::jobs",
    "reason": "the queue holds public data only",
    "owner": "platform",
    "ticket": "OPS-7",
    "expires": "2027-01-31",
    "compensating": "nobody outside reaches it",
}


def valid(name: str, document: Any) -> bool:
    """What an editor says of it."""
    return jsonschema.Draft202012Validator(schema.schemas()[name]).is_valid(document)


@pytest.mark.parametrize("name", schema.schemas())
def test_the_files_are_current(name: str) -> None:
    """`make schema` writes them."""
    jsonschema.Draft202012Validator.check_schema(schema.schemas()[name])
    assert (schema.FOLDER / name).read_text(encoding="utf-8") == schema.rendered(schema.schemas()[name])


def test_the_shipped_files_keep_them_and_name_them() -> None:
    """The waivers by a line for the YAML language server."""
    text = (FOLDER / "waivers.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schemas/waivers.schema.json\n")
    # an editor reads a day as text; YAML's own dates are for Python
    assert valid("waivers.schema.json", json.loads(json.dumps(yaml.safe_load(text), default=str)))
    for path in FOLDER.glob("config.*.json"):
        assert valid("config.schema.json", json.loads(path.read_text(encoding="utf-8"))), path.name


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ({}, True),
        ({"control": "ENC-2"}, False),
        ({"reason": "because"}, False),
        ({"ticket": None}, False),
        ({"until": "2027-01-31"}, False),
    ],
)
def test_an_editor_and_the_pack_agree_on_waivers(change: dict[str, Any], sound: bool, tmp_path: Path) -> None:
    """What the schema refuses is a mistake when the file is read, and the other way round."""
    document = {"waivers": [{**WAIVER, **change}]}
    path = tmp_path / "waivers.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert valid("waivers.schema.json", document) is sound
    assert (waivers.read(path)[1] == []) is sound


@pytest.mark.parametrize(
    ("document", "sound"),
    [
        ({"budget": "advisory", "$schema": "x"}, True),
        ({"all": {"enforcementLevel": "advisory"}}, True),
        ({"resources": {"disabled": {"SLP-ENC-002": "there are no keys in this stack"}}}, True),
        ({"resources": {"disabled": {"SLP-ENC-002": "so"}}}, False),
        ({"resources": {"disabled": ["SLP-ENC-002"]}}, False),
        ({"waivers": {"maxMatches": 0}}, False),
        ({"budgett": {}}, False),
        ({"budget": {"enforcementLevel": "maybe"}}, False),
    ],
)
def test_an_editor_and_the_pack_agree_on_configurations(document: Any, sound: bool, tmp_path: Path) -> None:
    """Levels, reasons, bounds and unknown keys."""
    path = tmp_path / "config.test.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert valid("config.schema.json", document) is sound
    assert (config.read(path)[1] == []) is sound
