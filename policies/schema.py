"""JSON Schemas of the files that people write for the pack: `python -m policies.schema` writes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from policies.config import ALL, LEVEL, LEVELS
from policies.settings import SETTINGS
from policies.waivers import Waiver

# beside the pack, so that they go with it to other projects
FOLDER: Final = Path(__file__).with_name("schemas")
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_GENERATED: Final = "Generated from the pack's models by `make schema`; do not edit."


def schemas() -> Mapping[str, dict[str, Any]]:
    """Each by its file's name."""
    return {"waivers.schema.json": waivers(), "config.schema.json": config()}


def waivers() -> dict[str, Any]:
    """`waivers.yaml`."""
    return {
        "$schema": _DRAFT,
        "title": "Waivers",
        "description": _GENERATED,
        "type": "object",
        "properties": {"waivers": {"type": "array", "items": Waiver.model_json_schema()}},
        "required": ["waivers"],
        "additionalProperties": False,
    }


def config() -> dict[str, Any]:
    """`config.<stack>.json`."""
    levels = {"enum": list(LEVELS), "description": "mandatory: a violation stops the deployment"}
    policies: dict[str, Any] = {}
    for name, model in SETTINGS.items():
        document = model.model_json_schema(by_alias=True)
        document["properties"] = {LEVEL: levels, **document["properties"]}
        policies[name] = {"anyOf": [levels, document]}
    everyone = {"type": "object", "properties": {LEVEL: levels}, "additionalProperties": False}
    return {
        "$schema": _DRAFT,
        "title": "Configuration of the policy pack",
        "description": _GENERATED,
        "type": "object",
        "properties": {"$schema": {"type": "string"}, ALL: {"anyOf": [levels, everyone]}, **policies},
        "additionalProperties": False,
    }


def rendered(document: Mapping[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files where editors look for them."""
    FOLDER.mkdir(exist_ok=True)
    for name, document in schemas().items():
        (FOLDER / name).write_text(rendered(document), encoding="utf-8")
        sys.stdout.write(f"{FOLDER.name}/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
