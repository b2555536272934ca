"""The API against schemathesis: whatever its own OpenAPI document allows or forbids is answered as it says."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.apps.api.conftest import eventually, settings_of
from tests.apps.api.test_process import free_port, jwks_url, process

__all__ = ["jwks_url"]  # a fixture

#: How long requests are made up; `make fuzz` gives more.
SECONDS = int(os.environ.get("SLIPWAY_FUZZ_SECONDS", "8"))


@pytest.mark.timeout(180 + SECONDS)
async def test_the_api_does_what_its_document_says(
    database: Any, valkey: Any, issuer: Any, jwks_url: str, tmp_path: Path
) -> None:
    """Good, bad and odd requests: no 5xx, and status, headers, type and body are those the document names."""
    port = free_port()
    environment = settings_of(
        database,
        valkey,
        issuer,
        port=port,
        auth_jwks_url=jwks_url,
        read_burst=1_000_000,
        write_burst=100_000_000,
        message_burst=1_000_000,
    )
    scopes = (
        "entities:read entities:write filters:read filters:write messages:write messages:admin figures:read"
    )
    token = issuer.token("ann", scopes, ["pilots"])
    base = f"http://127.0.0.1:{port}"
    async with process(environment) as (running, lines), httpx.AsyncClient(base_url=base) as client:

        async def ready() -> bool:
            assert running.returncode is None, lines
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready, 60)
        fuzzing = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
            *("run", f"{base}/schema/openapi.json", "--header", f"Authorization: Bearer {token}"),
            *("--checks", "all", "--max-time", str(SECONDS), "--no-color", "--continue-on-failure"),
            *("--warnings", "off", "--seed", os.environ.get("SLIPWAY_FUZZ_SEED", "1")),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await fuzzing.communicate()
        (tmp_path / "out.txt").write_bytes(output)
        assert fuzzing.returncode == 0, output.decode()
    assert not [line for line in lines if line.get("event") == "request.failed"]
