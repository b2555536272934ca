"""The AWS APIs of one machine: the pinned emulator in its own environment, or a given endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lab.errors import LabError
from lab.servers.embedded import Embedded
from lab.servers.endpoints import AwsEndpoint
from lab.servers.process import LOOPBACK, Kept
from lab.servers.state import State

VARIABLE = "SLIPWAY_AWS_ENDPOINT_URL"
ENVIRONMENT = Path(__file__).with_name("emulator_env")
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_ACCOUNT = "000000000000"


class Emulator(Embedded):
    """`start` answers with the endpoint. State is kept between runs, together with the databases'."""

    name = "emulator"

    def __init__(
        self,
        state: State | Path,
        *,
        account_id: str = DEFAULT_ACCOUNT,
        region: str = "eu-central-1",
        durable: bool = True,
        record: bool = False,
    ) -> None:
        super().__init__(state, durable=durable)
        self.record = record
        self.account_id = account_id
        self.region = region

    async def start(self) -> AwsEndpoint:
        """Start, or take the endpoint that `SLIPWAY_AWS_ENDPOINT_URL` names."""
        given = os.environ.get(VARIABLE, "").strip()
        if self.record:  # each run has a recording of its own, which its end does not remove
            calls_file(self.state.home).unlink(missing_ok=True)
        if given:
            return self._external(given)
        python = await asyncio.to_thread(install, self.state)
        async with self._stopped_on_failure():
            port = await self._launch(python)
        return AwsEndpoint(
            url=f"http://{LOOPBACK}:{port}",
            region=self.region,
            account_id=self.account_id,
            access_key_id=self.account_id,  # the emulator keeps accounts apart by the key's twelve digits
            secret_access_key="local",  # noqa: S106 — the emulator checks none
            program="ministack " + pinned(),
        )

    def _external(self, url: str) -> AwsEndpoint:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise LabError(
                f"{VARIABLE} cannot be used",
                cause=f"{url!r} is no http or https URL",
                hint=f"give it as http://HOST:PORT, or unset {VARIABLE} to use the emulator",
                code="bad-setting",
            )
        key = os.environ.get("AWS_ACCESS_KEY_ID", self.account_id)
        secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "local")
        return AwsEndpoint(
            url.rstrip("/"), self.region, self.account_id, key, secret, VARIABLE, external=True
        )

    async def _launch(self, python: Path) -> int:
        folder = self.state.data("emulator")
        for name in ("services", "s3", "tmp"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        announce = self.state.run / "emulator.port"
        wanted = 0
        with contextlib.suppress(OSError, ValueError):
            wanted = int(announce.read_text(encoding="utf-8"))
        announce.unlink(missing_ok=True)
        keep = "1" if self.durable else "0"
        environment = {
            "BIND_HOST": LOOPBACK,
            "MINISTACK_ACCOUNT_ID": self.account_id,
            "MINISTACK_REGION": self.region,
            "MINISTACK_HOST": "localhost",
            "PERSIST_STATE": keep,
            "STATE_DIR": str(folder / "services"),
            "S3_PERSIST": keep,
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(folder / "tmp"),
            "DOCKER_HOST": "unix:///nonexistent.sock",  # it would start containers of its own
            "IOT_MTLS_ENABLED": "0",  # both open fixed ports
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "AWS_ACCESS_KEY_ID": self.account_id,
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        command = [str(python), "-I", str(Path(__file__).with_name("emulator_serve.py"))]
        spec = {"listen": wanted, "announce": str(announce)}
        if self.record:
            self.state.data("calls")
            spec["record"] = str(calls_file(self.state.home))
        self._server = Kept(
            "emulator",
            self.state,
            [*command, json.dumps(spec)],
            environment=environment,
            cwd=folder,
            stop_signal=signal.SIGTERM,
        )
        self._server.start()
        await self._server.until(announce.is_file, timeout=60)
        port = int(announce.read_text(encoding="utf-8"))
        await self._server.until(lambda: answers(port), timeout=60)
        # should it be started again, then where its clients know it
        self._server.command = [*command, json.dumps({**spec, "listen": port})]
        return port


def calls_file(home: Path) -> Path:
    """The recording of the last run: the calls of its services, one kind a line (`emulator_calls.py`)."""
    return home / "state" / "calls" / "calls.jsonl"


def answers(port: int) -> bool:
    """Whether the emulator serves requests."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=0.5)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def pinned() -> str:
    """The emulator's version, from the one place that pins it."""
    text = (ENVIRONMENT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition("ministack==")[2].partition('"')[0]


def find_uv() -> str:
    """The checkout's own uv, else the one on PATH."""
    tools = ROOT / ".tools"
    # `pip install --target` puts the program into the folder that make gives it
    places = (*sorted(tools.glob("uv-*/bin/uv"), reverse=True), tools / "bin" / "uv")
    own = [path for path in places if path.is_file()]
    found = str(own[0]) if own else shutil.which("uv")
    if found is None:
        raise LabError(
            "uv was not found",
            cause=f"neither {tools} nor PATH has it; it installs the AWS emulator's environment",
            hint="run `make install`",
            code="no-uv",
        )
    return found


def environment_folder(state: State) -> Path:
    """Beside the checkout's other tools, one per lock file; `wipe` leaves it, as it is no state."""
    digest = hashlib.sha256((ENVIRONMENT / "uv.lock").read_bytes()).hexdigest()[:12]
    base = ROOT / ".tools" if (ROOT / "pyproject.toml").is_file() else state.home / "tools"
    return base / f"emulator-{digest}"


def install(state: State) -> Path:
    """The emulator's interpreter; its environment is made on first use from the lock file alone."""
    folder = environment_folder(state)
    python, mark = folder / "bin" / "python", folder / "complete"
    if mark.is_file() and python.exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.is_file() and python.exists():
            return python
        command = [find_uv(), "sync", "--frozen", "--quiet", "--no-config", "--project", str(ENVIRONMENT)]
        command += ["--python", f"{sys.version_info.major}.{sys.version_info.minor}"]
        done = subprocess.run(
            command,
            env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder), "UV_PYTHON_DOWNLOADS": "never"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(
                "the AWS emulator's environment cannot be installed",
                cause=done.stderr.strip()[-800:],
                hint="check the network and the space left, then run the same command again",
                code="install-failed",
            )
        mark.write_text(pinned(), encoding="utf-8")
    return python
