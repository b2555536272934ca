"""The servers that are measured side by side, each as a process on the server core."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.realtime import build, machine
from benchmarks.realtime.world import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from benchmarks.realtime.world import World

_START_SECONDS: Final = 40.0

OLD: Final = "old"
PLAIN: Final = "plain"
LIMIT: Final = "limit"
BARE: Final = "bare"
GATEWAY: Final = "gateway"
#: What each is, for whoever reads a table.
TITLES: Final = {
    OLD: "old design: Bun, a Redis subscriber per user",
    PLAIN: "plain Litestar handler: a task and `await send` per client",
    GATEWAY: "Slipway's gateway (`python -m apps.realtime`)",
    BARE: "bare Granian: accepts and waits",
    LIMIT: "loopback limit: C, epoll, one send() per message",
}


@dataclass(frozen=True)
class Server:
    """One that runs."""

    kind: str
    port: int
    pid: int
    log: Path
    base_kb: int

    def memory_kb(self) -> int:
        """What it holds more than at its start."""
        return machine.memory_kb(self.pid) - self.base_kb

    @property
    def speaks_ours(self) -> bool:
        """Whether clients speak protocol v1 to it (else: the old design's frames)."""
        return self.kind == GATEWAY


def _command(kind: str, world: World, port: int) -> list[str]:
    module = [sys.executable, "-m", f"benchmarks.realtime.{kind}"]
    redis = [str(world.redis_port), world.redis_password]
    if kind == OLD:
        return build.old_design(install=world.install)
    if kind == LIMIT:
        return [str(build.native("limit")), str(port), *redis]
    if kind == GATEWAY:
        return [sys.executable, "-m", "apps.realtime"]
    return [*module, str(port), *redis] if kind == PLAIN else [*module, str(port)]


@asynccontextmanager
async def start(kind: str, world: World, **settings: object) -> AsyncGenerator[Server]:
    """Start one, wait until it answers, and end it; raises `build.MissingError` where it can't run here."""
    port = free_port()
    command = _command(kind, world, port)
    environment = {
        **world.environment,
        "PORT": str(port),
        "SERVICE": "realtime",
        "MAX_CONNECTIONS": "20000",
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    if kind == OLD:
        environment["REDIS_PORT"] = str(world.redis_port)
    await world.redis.flushall()
    log = world.folder / f"{kind}-{port}.log"
    process = _spawn(command, environment, log)
    try:
        await _answers(process, port, kind, log)
        yield Server(kind, port, process.pid, log, machine.memory_kb(process.pid))
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _spawn(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as out:
        return subprocess.Popen(
            command,
            cwd=build.HERE.parents[1],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=machine.on_server_core,  # noqa: PLW1509  # sets an affinity and nothing else
        )


def _ready(log: Path) -> bool:
    return '"process.ready"' in log.read_text()


async def _answers(process: subprocess.Popen[bytes], port: int, kind: str, log: Path) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{kind} did not start, see {log}")
            if kind == GATEWAY:
                if _ready(log):
                    return
            else:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    pass
                else:
                    writer.close()
                    return
            await asyncio.sleep(0.05)


def hello(server: Server, world: World, count: int) -> list[str]:
    """The first frame of each client."""
    if not server.speaks_ours:
        return [
            json.dumps({"type": "identify", "userId": str(n)}, separators=(",", ":")) for n in range(count)
        ]
    return [json.dumps({"v": 1, "type": "identify", "token": token}) for token in world.tokens(count)]


def viewport(number: int) -> str:
    """A small box of its own for each client."""
    south, west = 30 + number % 100 / 10, -100 + number // 100 / 10
    return json.dumps(
        {
            "v": 1,
            "type": "viewport",
            "west": west,
            "south": south,
            "east": west + 0.08,
            "north": south + 0.05,
            "zoom": 13,
        }
    )
