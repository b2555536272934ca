"""The pack on its own: built, installed alone, started as Pulumi starts it, and asked about a foreign program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2_grpc

from lab.check import judge
from lab.model import Graph
from lab.synth import synth
from policies import config, pack

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "policy-pack"
CONFIG = EXAMPLE / "policy-config.json"
WAIVERS = EXAMPLE / "waivers.yaml"


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The example, composed."""
    return synth(EXAMPLE, "dev")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from a copy of the folder alone: nothing beside it is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = shutil.copytree(
        ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=100)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel; what it depends on comes from here, so no registry is asked."""
    home = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=100)
    site = Path(
        sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(home), "platbase": str(home)})
    )
    # a wheel of Python alone is installed by unpacking it; `.pth` files of that folder are not followed,
    # so this checkout itself cannot be found
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def analyzer(installed: Path) -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack's own process, started from its folder as Pulumi starts it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    where = "import slipway_policies; slipway_policies.main()"
    done = subprocess.run(
        [installed, "-c", where], env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(installed.parent.parent)
    process = subprocess.Popen(
        [installed, "-u", folder],
        cwd=folder,
        env={**environment, "SLIPWAY_WAIVERS": str(WAIVERS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def report(graph: Graph) -> judge.Report:
    """What `slipway check` says."""
    return judge.check(graph, root=EXAMPLE, config_file=CONFIG, waiver_file=WAIVERS)


def test_the_foreign_program_has_the_findings_that_its_readme_names(graph: Graph) -> None:
    """A database that the world reaches, a queue without a key, one that is waived, and an unknown type."""
    said = report(graph)
    found = {(each.control.id, each.urn.rpartition("::")[2], each.outcome.value) for each in said.findings}
    assert {
        ("SLP-NET-001", "orders", "fail"),
        ("SLP-NET-004", "orders", "fail"),
        ("SLP-ENC-002", "orders", "fail"),
        ("SLP-ENC-002", "thumbnails", "waived"),
        ("SLP-ENC-001", "orders", "pass"),
    } <= found
    assert said.unseen == {"aws:location/map:Map": 1}
    assert (said.errors, said.waiver_problems) == ((), ())
    paths = [each.path for each in said.findings if each.control.id == "SLP-NET-001" and each.path]
    assert ("route out", "internet gateway shop") in {path[-2:] for path in paths}


def test_the_wheel_holds_the_pack_and_nothing_else(wheel: Path) -> None:
    """One top-level package that is not named `policies`, the data files, one version, no path of this checkout."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        waived = yaml.safe_load(archive.read("slipway_policies/policies/waivers.yaml"))
        described = yaml.safe_load(archive.read("slipway_policies/policies/PulumiPolicy.yaml"))
    assert {name.split("/")[0] for name in names} == {
        "slipway_policies",
        f"slipway_policies-{pack.VERSION}.dist-info",
    }
    inside = {name.removeprefix("slipway_policies/policies/") for name in names}
    assert {"pricing/prices.json", "schemas/config.schema.json", "waivers.yaml", "config.prod.json"} <= inside
    assert waived == {"waivers": []}
    assert described["version"] == pack.VERSION
    assert described["runtime"] == "python"


def test_installed_alone_it_gives_the_engine_the_verdicts_of_slipway_check(
    graph: Graph, analyzer: analyzer_pb2_grpc.AnalyzerStub
) -> None:
    """The same program through gRPC to the pack's own process: the same violations, word by word."""
    remote: Any = analyzer
    info = remote.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == pack.NAME
    remote.Configure(judge.configuration_request(config.load(CONFIG, pack.controls())))
    diagnostics = judge.ask(remote, graph)
    there = {(each.policyName, each.urn, judge.words(each)) for each in diagnostics}
    here = {(each.policy, each.urn, each.message) for each in report(graph).violations}
    assert there == here
    assert len(here) > 5
