"""PID 1: start, signals, drain, deadlines and crashes, each with a real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Running:
    """A process of `small_app` and what it said."""

    process: asyncio.subprocess.Process
    port: int
    lines: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        """A client of it."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}")

    async def ended(self, seconds: float = 30) -> int:
        """Its exit code."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    def events(self) -> list[str]:
        """Names of what happened."""
        return [str(line["event"]) for line in self.lines]


@asynccontextmanager
async def small_app(behaviour: str = "", *, wait: bool = True, **more: Any) -> AsyncIterator[Running]:
    """Start the app and wait until it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.apps.platform.small_app",
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "STACK": "test",
            "SERVICE": "small",
            "PORT": str(port),
            "BEHAVIOUR": behaviour,
            **{key.upper(): str(value) for key, value in more.items()},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Running(process, port)

    async def collect() -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            with contextlib.suppress(ValueError):
                running.lines.append(json.loads(raw))
                continue
            running.text.append(raw.decode())

    reader = asyncio.create_task(collect())
    try:
        if wait:
            async with asyncio.timeout(60), running.client() as client:
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get("/ready")).status_code == 200:
                            break
                    assert process.returncode is None, (running.lines, running.text)
                    await asyncio.sleep(0.05)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader


async def test_sigterm_drains() -> None:
    """Unready at once but still answering, requests in flight answered, resources closed, exit 0."""
    async with small_app() as app, app.client() as client:
        calls = [
            asyncio.create_task(client.get("/slow", headers={"x-correlation-id": f"c{number}"}))
            for number in range(5)
        ]
        await asyncio.sleep(0.3)
        app.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.15)
        unready = await client.get("/ready")
        assert (unready.status_code, unready.json()["status"]) == (503, "draining")
        assert (await client.get("/health")).status_code == 200
        for number, answer in enumerate(await asyncio.gather(*calls)):
            assert answer.json() == {"before": f"c{number}", "after": f"c{number}"}
        assert await app.ended() == 0
    assert app.text == ["closed\n"]
    order = ["process.ready", "process.signal", "process.drained", "process.stopped"]
    assert [event for event in app.events() if event in order] == order


async def test_it_answers_on_while_a_balancer_may_still_route_to_it() -> None:
    """After SIGTERM new requests are answered for the linger, though there is nothing to drain; then it ends."""
    async with small_app(linger_seconds=1.5) as app, app.client() as client:
        app.process.send_signal(signal.SIGTERM)
        answered = 0
        begun = time.monotonic()
        with contextlib.suppress(httpx.TransportError):
            while (await client.get("/health")).status_code == 200:
                answered += 1
                await asyncio.sleep(0.05)
        assert answered >= 3
        assert time.monotonic() - begun >= 1
        assert await app.ended() == 0


async def test_a_crashed_service_ends_the_process() -> None:
    """A background service that dies takes the process with it, visibly: exit 1 and its traceback."""
    async with small_app("crash", wait=False) as app:
        assert await app.ended() == 1
    crash = next(line for line in app.lines if line["event"] == "service.crashed")
    assert (crash["name"], crash["error"]) == ("work", "RuntimeError: boom")
    assert "boom" in crash["traceback"]
    assert app.text == ["closed\n"]


async def test_a_hook_that_hangs_is_cut() -> None:
    """The drain's time is a bound on its hooks; the rest still happens in order."""
    async with small_app("stuck", drain_seconds=0.5, shutdown_seconds=20) as app:
        begun = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert await app.ended() == 0
        assert time.monotonic() - begun < 10
    assert "drain.cut" in app.events()
    assert app.text == ["closed\n"]


async def test_a_failing_hook_does_not_stop_the_drain() -> None:
    """What a hook raises is logged, and the server still finishes."""
    async with small_app("failing-hook") as app:
        app.process.send_signal(signal.SIGINT)
        assert await app.ended() == 0
    assert "drain.failed" in app.events()
    assert app.text == ["closed\n"]


async def test_the_hard_deadline_holds_for_a_blocked_loop() -> None:
    """Even when the event loop itself hangs the process ends in time, with exit 1."""
    async with small_app("blocked", drain_seconds=0.5, shutdown_seconds=1) as app:
        begun = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert await app.ended() == 1
        assert 0.8 < time.monotonic() - begun < 8
    assert app.events()[-1] == "process.deadline"


async def test_a_second_signal_ends_at_once() -> None:
    """Who asks twice does not want to wait."""
    async with small_app("stuck", drain_seconds=30, shutdown_seconds=30) as app:
        app.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        app.process.send_signal(signal.SIGINT)
        assert await app.ended(5) == 1
    assert app.events()[-1] == "process.cut"


async def test_what_cannot_be_built_fails() -> None:
    """A failure while wiring is one event with its traceback, exit 1."""
    async with small_app("unbuildable", wait=False) as app:
        assert await app.ended() == 1
    assert [line["error"] for line in app.lines if line["event"] == "process.start_failed"] == [
        "RuntimeError: no parts"
    ]


async def test_the_healthcheck_command() -> None:
    """The container's check succeeds on a live process and fails with a reason on a dead port."""

    async def check(port: int) -> tuple[int, str]:
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "apps.platform.healthcheck",
            cwd=ROOT,
            env={"PORT": str(port)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await done.communicate()
        return done.returncode or 0, said.decode()

    async with small_app() as app:
        assert await check(app.port) == (0, "")
    code, said = await check(app.port)
    assert code == 1
    assert f"port {app.port} does not answer" in said
