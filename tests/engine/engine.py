"""A real `pulumi` on a copy of the project: file backend, stand-in providers, no credentials, a limit on every run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.engine.standin.cloud import Cloud

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("aws", "awsx", "docker-build", "random")
SECONDS = 300
# nothing of the caller's clouds or of his Pulumi reaches a test
_STRANGERS = ("AWS_", "PULUMI_", "SLIPWAY_", "STANDIN_")
_LEFT_BEHIND = (
    ".git",
    ".venv",
    ".tools",
    ".slipway",
    "node_modules",
    "__pycache__",
    "dist",
    ".*_cache",
    ".cache",
)


def _uv() -> Path:
    """The project's own uv, which the engine calls."""
    return next(ROOT.glob(".tools/uv-*/bin/uv"))


@dataclass(frozen=True)
class Run:
    """What one command of the engine said."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both outputs, for a failure's message."""
        return f"{' '.join(self.command)}: exit {self.code}\n{self.out[-6000:]}\n{self.err[-6000:]}"

    def ok(self) -> Run:
        """Itself, if it went well."""
        assert self.code == 0, self.said
        return self

    @property
    def events(self) -> dict[str, Any]:
        """The document of `--json`."""
        return json.loads(self.out[self.out.index("{") :])

    def steps(self) -> dict[str, list[str]]:
        """URNs by what a preview would do with them."""
        found: dict[str, list[str]] = {}
        for step in self.events["steps"]:
            found.setdefault(step["op"], []).append(step["urn"])
        return found


@dataclass
class Engine:
    """One stack in a folder of its own."""

    folder: Path
    stack: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The copy of the project."""
        return self.folder / "project"

    @property
    def cloud(self) -> Cloud:
        """What exists."""
        return Cloud(self.folder / "cloud")

    @property
    def evidence(self) -> Path:
        """Where the pack writes its verdicts."""
        return self.folder / "evidence.json"

    def start(self) -> Engine:
        """Copy the project, since the engine writes to its stack files, and make the stack."""
        shutil.copytree(ROOT, self.project, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
        (self.project / ".venv").symlink_to(ROOT / ".venv")
        (self.folder / "state").mkdir()
        self._plugins()
        document = yaml.safe_load((self.project / "Pulumi.yaml").read_text(encoding="utf-8"))
        document["plugins"] = {
            "providers": [{"name": name, "path": str(self.folder / "plugins" / name)} for name in PACKAGES]
        }
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        self._environment()
        self.run("stack", "init", self.stack, flags=False).ok()
        return self

    def _plugins(self) -> None:
        for package in PACKAGES:
            path = self.folder / "plugins" / package / f"pulumi-resource-{package}"
            path.parent.mkdir(parents=True)
            command = (
                f'"{sys.executable}" -u -m tests.engine.standin {package} "{self.folder / "cloud"}" "$@"'
            )
            path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec {command}\n', encoding="utf-8")
            path.chmod(0o755)

    def _environment(self) -> None:
        mine = {key: value for key, value in os.environ.items() if not key.startswith(_STRANGERS)}
        self.env = {
            **mine,
            "PATH": os.pathsep.join((str(_uv().parent), os.environ["PATH"])),
            # the engine has uv sync the environment before each run: it finds all there and installs nothing
            "UV_FROZEN": "1",
            "UV_OFFLINE": "1",
            "UV_NO_INSTALL_PROJECT": "1",
            "UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv"),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "of the tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "SLIPWAY_EVIDENCE": str(self.evidence),
            # no metadata service, no profile
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **self.env,
        }

    @cached_property
    def proved(self) -> Run:
        """The first preview of the new stack, with the pack."""
        config = self.project / "policies" / f"config.{self.stack}.json"
        return self.preview_json(
            "--policy-pack", str(self.project / "policies"), "--policy-pack-config", str(config)
        )

    # --- the engine's commands

    def preview(self, *arguments: str) -> Run:
        """What `up` would do."""
        return self.run("preview", *arguments)

    def preview_json(self, *arguments: str) -> Run:
        """The same as a document."""
        return self.run("preview", "--json", *arguments)

    def up(self, *arguments: str) -> Run:
        """Deploy."""
        return self.run("up", "--yes", "--skip-preview", *arguments)

    def refresh(self, *arguments: str) -> Run:
        """Read everything again."""
        return self.run("refresh", *arguments)

    def destroy(self) -> Run:
        """Remove everything."""
        return self.run("destroy", "--yes", "--skip-preview")

    def state(self) -> list[dict[str, Any]]:
        """The resources of the state."""
        return self.run("stack", "export", flags=False).ok().events["deployment"].get("resources", [])

    def verdicts(self) -> list[dict[str, Any]]:
        """What the pack found in the last run, every verdict."""
        return json.loads(self.evidence.read_text(encoding="utf-8"))

    def configure(self, change: Mapping[str, Any]) -> None:
        """Replace keys of the stack's config."""
        path = self.project / f"Pulumi.{self.stack}.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["config"].update(change)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def run(self, *arguments: str, flags: bool = True, seconds: float = SECONDS) -> Run:
        """One command. A hang (a pack without its environment does that) ends with the limit, and nothing is left."""
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never", "--stack", self.stack]
        if arguments[:2] == ("stack", "init"):
            command = command[:-2]
        if flags and "--json" not in arguments:
            command.append("--suppress-progress")
        process = subprocess.Popen(
            command,
            cwd=self.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            try:
                out, err = process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
            raise AssertionError(f"{' '.join(command)} took more than {seconds} s\n{out}\n{err}") from None
        return Run(tuple(command), process.returncode, out, err)
