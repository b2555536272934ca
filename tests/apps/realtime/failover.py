"""Two Valkey servers behind one address, as a replication group of ElastiCache has it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

import redis as redis_sync

from lab.servers import RedisServer, State, tls
from lab.servers.binaries import valkey_programs
from tests.apps.realtime.live import free_port


class Node:
    """One server; `role` and `follow` are what a failover changes."""

    def __init__(self, program: Path, folder: Path, password: str) -> None:
        self.port = free_port()
        folder.mkdir()
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "no",
            "requirepass": password,
            "primaryauth": password,
            "repl-diskless-sync-delay": 0,
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            [str(program), *arguments], stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT
        )
        self.redis: Any = redis_sync.Redis(port=self.port, password=password)
        end = time.monotonic() + 15
        while True:
            try:
                self.redis.ping()
                break
            except redis_sync.ConnectionError:
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.02)

    def follow(self, other: Node | None) -> None:
        """Become a replica of another, or a primary."""
        if other is None:
            self.redis.replicaof("NO", "ONE")
        else:
            self.redis.replicaof("127.0.0.1", other.port)

    async def in_step(self) -> None:
        """Wait until the replica has all of its primary."""
        end = time.monotonic() + 15
        while self.redis.info("replication").get("master_link_status") != "up":
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    def end(self) -> None:
        """As a machine that dies."""
        self.process.kill()
        self.process.wait(10)


class Address:
    """Stays the same and leads to `target`; connections that stand stay with the server they were made to."""

    def __init__(self, certificate: Path) -> None:
        self.target = 0
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


class Group:
    """A primary and its replica behind one address."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        password = secrets.token_hex(16)
        state = State(folder / "state")
        state.open()
        self._stack.callback(state.close)
        issued = tls.authority(state)
        program = valkey_programs()[0]
        self.nodes = [self._node(program.path, folder / name, password) for name in ("a", "b")]
        self.nodes[1].follow(self.nodes[0])
        self.address = self._stack.enter_context(Address(issued.certificate))
        self.address.target = self.nodes[0].port
        self.server = RedisServer(
            "127.0.0.1", self.address.port, password, issued.ca_file, str(program), "default", password
        )

    def _node(self, program: Path, folder: Path, password: str) -> Node:
        node = Node(program, folder, password)
        self._stack.callback(node.end)
        return node

    def swap(self, now: int, before: int) -> None:
        """A planned failover: roles change, the address leads to the new primary, nobody is disconnected."""
        self.nodes[now].follow(None)
        self.address.target = self.nodes[now].port
        self.nodes[before].follow(self.nodes[now])

    def crash(self, now: int, before: int) -> None:
        """The primary dies, and a moment later its replica is the primary."""
        self.nodes[before].end()
        self.nodes[now].follow(None)
        self.address.target = self.nodes[now].port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
