"""The JSON Schema of a stack file for editors: `python -m components.stack.schema` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from components.stack.config import StackConfig
from components.stack.loader import PROJECT

PATH: Final = Path(__file__).parents[2] / "docs" / "reference" / "stack.schema.json"


def schema() -> dict[str, Any]:
    """`StackConfig` as the file has it: each field a `slipway:<field>` key under `config`."""
    model = StackConfig.model_json_schema(ref_template="#/$defs/{model}")
    definitions = model.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Slipway stack",
        "description": "Generated from components.stack.config by `make schema`; do not edit.",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "description": model.get("description", ""),
                "properties": {f"{PROJECT}:{key}": value for key, value in model["properties"].items()},
                "required": [f"{PROJECT}:{key}" for key in model.get("required", [])],
                "patternProperties": {f"^(?!{PROJECT}:)[A-Za-z0-9_-]+:": {}},
                "additionalProperties": False,
            },
            "encryptionsalt": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "environment": {},
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def rendered() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file where editors look for it."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(rendered(), encoding="utf-8")
    sys.stdout.write(f"{PATH.relative_to(Path.cwd()) if PATH.is_relative_to(Path.cwd()) else PATH}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
