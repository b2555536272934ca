"""A real gateway and a real processor as processes, a writer that does what the API does, and a client."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis as redis_sync
import websockets
from psycopg.types.json import Jsonb

from apps.contracts import entities
from apps.contracts.entities import ENTITY_FIELD, ENTITY_STREAM, Access, EntityChanged, Trace
from apps.contracts.filters import FILTERS_CHANNEL, FiltersChanged, encode_changed

if TYPE_CHECKING:
    from lab.issuer import Issuer
    from lab.servers import RedisServer
    from tests.servers import Database

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 15.0
#: A process compiles its imports at the first start, beside whatever else the machine does.
START_PATIENCE = 45.0


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def held_sockets(port: int, *, remote: bool = False) -> int:
    """How many sockets with this local (or remote) port some process holds, in whatever state but listening."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # 0A listens; inode 0: no process holds it any more
    return sum(
        int(row[2 if remote else 1].partition(":")[2], 16) == port and row[3] != "0A" and row[9] != "0"
        for row in rows
    )


class Process:
    """One of our apps as its container starts it."""

    def __init__(self, app: str, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.log = log
        self.base = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", app],
            cwd=ROOT,
            env={**environment, "PORT": str(self.port)},
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def status(self, path: str) -> int:
        """What the process answers on a path; 0 when it does not."""
        try:
            with urllib.request.urlopen(self.base + path, timeout=3) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    async def ready(self) -> Process:
        """Wait until it takes work."""
        end = time.monotonic() + START_PATIENCE
        while await asyncio.to_thread(self.status, "/ready") != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            await asyncio.sleep(0.05)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)

    @property
    def rss(self) -> int:
        """Its memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    @property
    def sockets(self) -> int:
        """How many of its clients' sockets it holds, in whatever state."""
        return held_sockets(self.port)

    def events(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


class Client:
    """A websocket client that merges frames as the protocol says."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.has: dict[str, dict[str, Any]] = {}
        self.session = self.epoch = ""
        self.seq = 0
        self.frames: list[dict[str, Any]] = []
        self.applied: list[tuple[str, str, int]] = []

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps({"v": 1, **frame}))

    async def frame(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame, merged."""
        text = await asyncio.wait_for(self.socket.recv(), seconds)
        frame: dict[str, Any] = json.loads(text)
        assert frame["v"] == 1
        self.frames.append(frame)
        self._merge(frame)
        return frame

    def _merge(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "welcome":
            self.session, self.epoch, self.seq = frame["session"], frame["epoch"], frame["seq"]
        if kind in {"snapshot", "delta", "resync"}:
            if frame["epoch"] == self.epoch:
                assert frame["seq"] == self.seq + 1, "a frame is missing or came twice"
            self.epoch, self.seq = frame["epoch"], frame["seq"]
        if kind == "snapshot":
            self.has = {entity["id"]: entity for entity in frame["entities"]}
        for operation in frame.get("ops", ()):
            if operation["op"] == "upsert":
                entity = operation["entity"]
                old = self.has.get(entity["id"])
                assert old is None or entity["version"] > old["version"], "the same version twice"
                self.has[entity["id"]] = entity
                self.applied.append(("upsert", entity["id"], entity["version"]))
            else:
                assert operation["id"] in self.has, "removed what the client never had"
                del self.has[operation["id"]]
                self.applied.append(("remove", operation["id"], operation["version"]))

    async def until(self, what: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame of a type; pings and other frames are merged and passed over."""
        end = time.monotonic() + seconds
        while (frame := await self.frame(max(end - time.monotonic(), 0.01)))["type"] != what:
            pass
        return frame

    async def holds(self, versions: dict[str, int], seconds: float = PATIENCE) -> None:
        """Read until the client has exactly these entities in these versions."""
        end = time.monotonic() + seconds
        while {key: entity["version"] for key, entity in self.has.items()} != versions:
            left = end - time.monotonic()
            assert left > 0, f"{sorted(self.has)} is not {sorted(versions)}: {self.frames[-5:]}"
            with contextlib.suppress(TimeoutError):
                await self.frame(max(left, 0.01))

    async def quiet(self, seconds: float = 0.4) -> None:
        """Assert that no change comes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                frame = await self.frame(left)
                assert frame["type"] not in {"delta", "snapshot", "resync"}, frame

    async def identify(self, token: str, **more: Any) -> dict[str, Any]:
        await self.send(type="identify", token=token, **more)
        return await self.until("welcome")

    async def look_at(
        self, west: float, south: float, east: float, north: float, **more: Any
    ) -> dict[str, Any]:
        """Set the viewport and wait for its snapshot."""
        await self.send(type="viewport", west=west, south=south, east=east, north=north, zoom=5, **more)
        return await self.until("snapshot")

    async def closed(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Read on until the server closes; its code and reason."""
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await self.until("the end", seconds)
        received = caught.value.rcvd
        assert received is not None, "closed without a close frame"
        return received.code, received.reason


class World:
    """Everything one test needs, ended with it."""

    def __init__(self, database: Database, valkey: RedisServer, issuer: Issuer, folder: Path) -> None:
        self.database = database
        self.issuer = issuer
        self.folder = folder
        self.redis = redis_sync.Redis.from_url(valkey.admin_url())
        self.connection = psycopg.connect(database.app_dsn, autocommit=True)
        self.processes: list[Process] = []
        self.sockets: list[Any] = []
        self._keys = _serve_keys(issuer)
        self._environment = {
            **os.environ,
            **database.environment(),
            "STACK": "test",
            "REDIS_HOST": valkey.host,
            "REDIS_PORT": str(valkey.port),
            "REDIS_PASSWORD": valkey.password,
            "REDIS_CA_FILE": str(valkey.ca_file),
            "AUTH_ISSUER": issuer.issuer,
            "AUTH_AUDIENCE": issuer.audience,
            "AUTH_JWKS_URL": f"http://127.0.0.1:{self._keys.server_port}/jwks.json",
        }

    def start(self, app: str, **settings: Any) -> Process:
        """Start a process with settings of its own."""
        more = {name.upper(): str(value) for name, value in settings.items()}
        log = self.folder / f"{app}-{len(self.processes)}.log"
        process = Process(f"apps.{app}", {**self._environment, "SERVICE": app, **more}, log)
        self.processes.append(process)
        return process

    async def gateway(self, **settings: Any) -> Process:
        return await self.start("realtime", **settings).ready()

    async def processor(self, **settings: Any) -> Process:
        """A processor that holds shards soon: short leases unless told otherwise."""
        return await self.start("filter_processor", **{"lease_seconds": 1, **settings}).ready()

    async def pair(self, **settings: Any) -> tuple[Process, Process]:
        """A gateway and a processor, started at once."""
        gateway, processor = await asyncio.gather(self.gateway(**settings), self.processor())
        return gateway, processor

    async def connect(self, gateway: Process) -> Client:
        """An open socket, not identified."""
        opened = await websockets.connect(
            f"ws://127.0.0.1:{gateway.port}/ws", max_size=None, ping_interval=None, compression=None
        )
        self.sockets.append(opened)
        return Client(opened)

    async def client(self, gateway: Process, user: str = "ann", groups: tuple[str, ...] = ()) -> Client:
        """An identified client."""
        client = await self.connect(gateway)
        await client.identify(self.token(user, groups))
        return client

    def token(self, user: str = "ann", groups: tuple[str, ...] = (), **more: Any) -> str:
        return self.issuer.token(user, groups=groups, **more)

    def write(
        self, entity_id: str, lat: float = 0.0, lon: float = 0.0, *, announce: bool = True, **more: Any
    ) -> EntityChanged:
        """Commit a change and put it on the stream, as the API does."""
        access: Access = more.get("access", Access("public", "owner"))
        deleted: bool = more.get("deleted", False)
        row = self.connection.execute(
            """INSERT INTO entities AS e (id, kind, lat, lon, attributes, access_rule, access_owner, access_group, deleted_at)
               VALUES (%(id)s, %(kind)s, %(lat)s, %(lon)s, %(attributes)s, %(rule)s, %(owner)s, %(group)s,
                       CASE WHEN %(deleted)s THEN now() END)
               ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, lat = excluded.lat, lon = excluded.lon,
                   attributes = excluded.attributes, access_rule = excluded.access_rule,
                   access_owner = excluded.access_owner, access_group = excluded.access_group,
                   deleted_at = excluded.deleted_at, version = e.version + 1, changed_at = clock_timestamp()
               RETURNING version, (extract(epoch FROM changed_at) * 1000)::bigint""",
            {
                "id": entity_id,
                "kind": more.get("kind", "aircraft"),
                "lat": lat,
                "lon": lon,
                "attributes": Jsonb(more.get("attributes", {})),
                "rule": access.rule,
                "owner": access.owner,
                "group": access.group,
                "deleted": deleted,
            },
        ).fetchone()
        assert row is not None
        change = EntityChanged(
            id=entity_id,
            version=row[0],
            kind=more.get("kind", "aircraft"),
            lat=lat,
            lon=lon,
            changed_at=row[1],
            attributes=more.get("attributes", {}),
            access=access,
            deleted=deleted,
            trace=more.get("trace", Trace()),
        )
        if announce:
            self.announce(change)
        return change

    def announce(self, change: EntityChanged) -> None:
        """Put a change on the stream."""
        self.redis.xadd(ENTITY_STREAM, {ENTITY_FIELD: entities.encode(change)})

    def save_filter(self, filter_id: str, owner: str, kinds: list[str], where: list[dict[str, Any]]) -> None:
        """Store a filter and say so."""
        self.connection.execute(
            """INSERT INTO filters (id, owner, name, kinds, conditions) VALUES (%s, %s, 'f', %s, %s)
               ON CONFLICT (id) DO UPDATE SET kinds = excluded.kinds, conditions = excluded.conditions""",
            (filter_id, owner, kinds, Jsonb(where)),
        )
        self.redis.publish(FILTERS_CHANNEL, encode_changed(FiltersChanged(owner)))

    async def close(self) -> None:
        """End everything this test started."""
        for opened in self.sockets:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(opened.close(), 2)
        for process in self.processes:
            if process.process.poll() is None:
                process.process.kill()
            process.process.wait(10)
        self._keys.shutdown()
        self._keys.server_close()
        self.connection.close()
        self.redis.close()


def _serve_keys(issuer: Issuer) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.jwks()).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
