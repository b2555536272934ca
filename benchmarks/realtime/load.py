"""Drives the load client (`native/load`): one process beside Redis, commands in, one JSON answer each."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from benchmarks.realtime import build, machine
from benchmarks.realtime.candidates import hello, viewport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from benchmarks.realtime.candidates import Server
    from benchmarks.realtime.processor import Processor
    from benchmarks.realtime.world import World

#: Users one update is for: 500 updates a second of these are the peak's 25,000 user messages.
USERS_PER_UPDATE: Final = 50
#: Entities that updates go round: more than are under way at once, or newer ones would replace older.
ENTITIES: Final = 4000
BODY_BYTES: Final = 256
_ANSWER_SECONDS: Final = 180.0


class Load:
    """The client's process."""

    def __init__(self, process: asyncio.subprocess.Process, server: Server, redis_pid: int) -> None:
        self._process = process
        self._server = server
        self._redis_pid = redis_pid

    async def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command.encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_SECONDS)
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the load client ended"}
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        return answer

    async def measure(self, command: str) -> dict[str, Any]:
        """Send a command that takes a while; the answer says who used how many cores meanwhile."""
        named = machine.descendants()
        known = (self._server.pid, self._redis_pid, self._process.pid)
        rest = [pid for pid in named if pid not in known]
        await self.ask("watch " + ",".join(str(pid) for pid in (*known[:2], *rest)))
        answer = await self.ask(command)
        server, redis, *more = answer.pop("cores")
        database = sum(cores for pid, cores in zip(rest, more, strict=True) if named[pid] == "postgres")
        return {
            **answer,
            "server_cores": server,
            "redis_cores": redis,
            "postgres_cores": database,
            # the TLS end before Valkey, and this process as it plays the processor
            "harness_cores": sum(more) - database,
        }

    async def connect(self, count: int, *, first: int = 0, at_once: int = 64) -> dict[str, Any]:
        """Open connections and wait until each is ready."""
        return await self.measure(f"connect {first} {count} {at_once}")

    async def publishes(
        self, world: World, server: Server, processor: Processor, active: int, users: int = USERS_PER_UPDATE
    ) -> None:
        """Say how user messages reach the server, to the first `active` users in turn."""
        await self.ask(f"redis {world.redis_port} {world.redis_password}")
        if server.speaks_ours:
            channel = f"gw:{processor.gateway}"
            await self.ask(f"as gateway {channel} benchmark {users} {ENTITIES}")
        else:
            await self.ask("as old")
        await self.ask(f"limits {BODY_BYTES} {active}")

    async def idle(self, seconds: float) -> dict[str, Any]:
        """Only read, and answer heartbeats."""
        return await self.measure(f"idle {seconds}")

    async def close(self, count: int, first: int = 0) -> None:
        """Break connections off."""
        await self.ask(f"close {first} {count}")

    async def viewports(self, rate: float, seconds: float) -> dict[str, Any]:
        """Every client in turn sends its viewport."""
        return await self.measure(f"viewports {rate} {seconds} {0 if self._server.speaks_ours else 1}")

    async def run(self, seconds: float, *, rate: float = 0, window: int = 0) -> dict[str, Any]:
        """Publish and count: at a rate, or with a number of user messages under way."""
        return await self.measure(f"run {rate} {seconds} {window}")


@asynccontextmanager
async def open_load(world: World, server: Server, clients: int, *, look: bool = True) -> AsyncGenerator[Load]:
    """Start the client's process; no connection yet. Without `look` clients of ours identify and no more."""
    hellos = world.folder / "hellos"
    hellos.write_text("\n".join(hello(server, world, clients)) + "\n")
    arguments = [str(server.port), str(clients)]
    if not server.speaks_ours:
        arguments += ['"ready"', str(hellos)]
    elif look:
        seconds = world.folder / "viewports"
        seconds.write_text("\n".join(viewport(number) for number in range(clients)) + "\n")
        arguments += ['"type":"snapshot"', str(hellos), '"type":"welcome"', str(seconds)]
    else:
        arguments += ['"type":"welcome"', str(hellos)]
    process = await asyncio.create_subprocess_exec(
        str(build.native("load")), *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Load(process, server, world.redis_pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
