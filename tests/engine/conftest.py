"""A stack under the engine, made once for all tests that look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engine import Engine

HOW = (
    "no `pulumi` on PATH: these tests run the real engine\n"
    "hint: curl -fsSL https://get.pulumi.com | sh, or https://www.pulumi.com/docs/iac/download-install/"
)

# one worker has all tests of a stack: they look at the same one, in the order of the file
STACKS = [pytest.param(stack, marks=pytest.mark.xdist_group(stack)) for stack in ("dev", "prod", "local")]


def pytest_sessionstart() -> None:
    """Fail in one line where there is no engine: a test that is skipped shows nothing."""
    if shutil.which("pulumi") is None:
        pytest.exit(HOW, returncode=2)


@pytest.fixture(scope="module", params=STACKS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A fresh copy of the project with one of its stacks, not deployed yet."""
    folder = tmp_path_factory.mktemp(str(request.param))
    yield Engine(folder, str(request.param)).start()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is gone afterwards: a copy of the project is large."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
