"""What the wheel holds: the pack as the folder that Pulumi is given, `slipway_policies/policies`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LEFT_OUT: Final = (
    "hatch_build.py",
    "pyproject.toml",
    "PKG-INFO",
    ".gitignore",
    "config.local.json",
    "waivers.iam.yaml",
)


class Wheel(BuildHookInterface[Any]):
    """Installs no top-level package named `policies`, and lets Pulumi run the pack by the Python it is in."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's signature
        """Name each file and its place."""
        root = Path(self.root)
        placed: dict[str, str] = build_data["force_include"]
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and path.suffix != ".pyc" and name not in _LEFT_OUT:
                placed[str(path)] = f"slipway_policies/policies/{name}"
        placed[str(root / "where.py")] = "slipway_policies/__init__.py"
        # neither the virtual environment of this checkout (a wrong path makes Pulumi wait for ever) nor the
        # stacks that its waivers are for are there
        document = yaml.safe_load((root / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
        changed: dict[str, dict[str, Any]] = {
            "PulumiPolicy.yaml": {**document, "runtime": "python"},
            "waivers.yaml": {"waivers": []},
        }
        folder = Path(tempfile.mkdtemp(prefix="slipway-policies-"))
        for name, content in changed.items():
            (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
            del placed[str(root / name)]
            placed[str(folder / name)] = f"slipway_policies/policies/{name}"
