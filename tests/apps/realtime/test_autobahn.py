"""The server under the gateway against Autobahn's own cases (https://github.com/crossbario/autobahn-testsuite).

`kosoku` runs the case files of the Autobahn TestSuite without Python 2. They want an echo, so they run against
`echo_app`: the same entry, server, framework and raw socket as the gateway's. What the gateway's own protocol
makes of frames is in `test_frames.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kosoku import FailureError, run_fuzzingclient

from tests.apps.realtime.live import ROOT, free_port

if TYPE_CHECKING:
    from kosoku._kosoku import CaseResult

#: Compression, which neither Granian nor its websocket library offers.
COMPRESSION = ("12.*", "13.*")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running echo."""
    port = free_port()
    log: Path = tmp_path_factory.mktemp("echo") / "echo.log"
    environment: dict[str, Any] = {**os.environ, "STACK": "test", "SERVICE": "echo", "PORT": str(port)}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.apps.realtime.echo_app"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
        )
    end = time.monotonic() + 20
    while True:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2):
            break
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    yield f"ws://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(20) == 0, log.read_text()


def verdicts(results: list[CaseResult], verdict: str) -> set[str]:
    """The cases with a verdict."""
    return {one.case_id for one in results if one.behavior.value == verdict}


async def test_every_case_of_the_protocol_passes(echo: str):
    """Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits to 16 MiB: 301 cases, none failed."""
    results = await run_fuzzingclient(echo, exclude_cases=COMPRESSION, concurrency=2)
    assert len(results) == 301
    assert verdicts(results, "FAILED") == verdicts(results, "ERROR") == set()
    # text that is no UTF-8 is refused at the end of its frame and not at its first bad byte, as the RFC allows
    assert verdicts(results, "NON-STRICT") == {"6.4.3", "6.4.4"}
    # what to do with frames behind a close frame, or with its unknown code, is left to the server
    assert verdicts(results, "INFORMATIONAL") == {"7.1.6", "7.13.1", "7.13.2"}
    assert len(verdicts(results, "OK")) == 296


async def test_compression_is_declined_and_not_broken(echo: str):
    """An offer of permessage-deflate is answered without it, which the client must accept: no case gets further."""
    with pytest.raises(FailureError) as caught:
        await run_fuzzingclient(echo, cases=["12.1.1", "13.1.1"])
    assert {one.behavior.value for one in caught.value.results} == {"UNIMPLEMENTED"}
    assert all("sec-websocket-extensions" not in one.http_response.lower() for one in caught.value.results)
