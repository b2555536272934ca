"""A scripted server for the page: protocol v1 over a real websocket or event stream, recorded flights behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import WSMsgType, web

from lab.replay.player import Move, Player

DIST = Path(__file__).parents[3] / "apps" / "console" / "dist"


class EventSocket:
    """An event stream with what the server needs of a websocket."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self.closed = asyncio.Event()

    async def send_json(self, frame: dict[str, Any]) -> None:
        await self.response.write(f"data: {json.dumps(frame)}\n\n".encode())

    async def close(self, *, code: int, message: bytes = b"") -> None:
        end = {"code": code, "reason": message.decode()}
        await self.response.write(f"event: close\ndata: {json.dumps(end)}\n\n".encode())
        self.closed.set()


@dataclass
class Connection:
    """One client: what it said, what it sees."""

    socket: web.WebSocketResponse | EventSocket
    identify: dict[str, Any]
    opened: float = field(default_factory=time.monotonic)
    resumed: bool = False
    viewports: list[dict[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def shows(self, entity: dict[str, Any], filters: dict[str, dict[str, Any]]) -> bool:
        """Whether the entity is in the viewport and passes its filters."""
        if not self.viewports:
            return False
        box = self.viewports[-1]
        if not box["south"] <= entity["lat"] <= box["north"]:
            return False
        west, east, lon = box["west"], box["east"], entity["lon"]
        inside = west <= lon <= east if west <= east else lon >= west or lon <= east
        if not inside or (box.get("kinds") and entity["kind"] not in box["kinds"]):
            return False
        wanted = [filters[name] for name in box.get("filters", []) if name in filters]
        return not wanted or any(_passes(one, entity) for one in wanted)


def _passes(saved: dict[str, Any], entity: dict[str, Any]) -> bool:
    tests = {
        "gte": lambda a, b: a is not None and a >= b,
        "lte": lambda a, b: a is not None and a <= b,
        "lt": lambda a, b: a is not None and a < b,
    }
    return all(
        tests[one["op"]](entity["attributes"].get(one["attribute"]), one["value"]) for one in saved["where"]
    )


class Scripted:
    """Serves the built page and plays a recording to whoever looks; the test pulls its strings."""

    def __init__(self, player: Player | None, *, demo: bool = True, tick: float = 0.2) -> None:
        self.player = player
        self.demo = demo
        self.tick = tick
        self.epoch = "e1"
        self.seq = 0
        self.entities: dict[str, dict[str, Any]] = {}
        self.filters: dict[str, dict[str, Any]] = {}
        self.connections: list[Connection] = []
        self.history: list[Connection] = []
        self.refuse = False
        self.valid_tokens = {"demo-token"}
        self.processes: list[dict[str, Any]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._playing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/events", self._stream)
        app.router.add_get("/.slipway/config.json", self._config)
        app.router.add_get("/.slipway/token", self._token)
        app.router.add_get("/v1/filters", self._filters)
        app.router.add_get("/v1/figures", self._figures)
        app.router.add_post("/v1/filters", self._save)
        app.router.add_delete("/v1/filters/{id}", self._delete)
        app.router.add_get("/", self._index)
        app.router.add_static("/", DIST)
        self._runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/"
        if self.player is not None:
            await self._advance(0.0)
            self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._playing is not None:
            self._playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._playing
        if self._runner is not None:
            await self._runner.cleanup()

    async def drop(self, code: int = 1011, reason: str = "") -> None:
        """Close every connection."""
        for one in list(self.connections):
            await one.socket.close(code=code, message=reason.encode())

    async def change(self, **entity: Any) -> None:
        """Put or move one entity."""
        known = self.entities.get(entity["id"], {"version": 0})
        fresh = {
            "kind": "aircraft",
            "heading": None,
            "attributes": {},
            "access": {"rule": "public", "owner": "test", "group": ""},
            **entity,
            "version": known["version"] + 1,
            "changed_at": int(time.time() * 1000),
        }
        self.entities[fresh["id"]] = fresh
        await self._tell([fresh], [])

    async def message(self, number: int, name: str, data: Any) -> None:
        """Send a message to the user of every connection."""
        item = {"channel": "user", "id": f"{number}-0", "name": name, "at": 0, "data": data}
        for one in self.connections:
            await one.socket.send_json({"v": 1, "type": "messages", "messages": [item]})

    async def _play(self) -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(self.tick)
            await self._advance(time.monotonic() - started)

    async def _advance(self, elapsed: float) -> None:
        assert self.player is not None
        moved: dict[str, dict[str, Any]] = {}
        gone: list[str] = []
        for event in self.player.due(elapsed):
            if isinstance(event, Move):
                version = self.entities.get(event.id, {"version": 0})["version"] + 1
                self.entities[event.id] = moved[event.id] = {
                    "id": event.id,
                    "kind": event.kind,
                    "lat": event.lat,
                    "lon": event.lon,
                    "heading": event.heading,
                    "attributes": event.attributes,
                    "access": {"rule": "public", "owner": "replay", "group": ""},
                    "version": version,
                    "changed_at": int(time.time() * 1000),
                }
            else:
                self.entities.pop(event.id, None)
                moved.pop(event.id, None)
                gone.append(event.id)
        await self._tell(list(moved.values()), gone)

    async def _tell(self, moved: list[dict[str, Any]], gone: list[str]) -> None:
        self.seq += 1
        for one in list(self.connections):
            ops: list[dict[str, Any]] = []
            for entity in moved:
                if one.shows(entity, self.filters):
                    one.seen.add(entity["id"])
                    ops.append({"op": "upsert", "entity": entity})
                elif entity["id"] in one.seen:
                    one.seen.discard(entity["id"])
                    ops.append({"op": "remove", "id": entity["id"], "version": entity["version"]})
            ops += [{"op": "remove", "id": name, "version": 1 << 40} for name in gone if name in one.seen]
            if ops:
                at = int(time.time() * 1000)
                frame = {"v": 1, "type": "delta", "epoch": self.epoch, "seq": self.seq, "at": at, "ops": ops}
                with contextlib.suppress(ConnectionError):
                    await one.socket.send_json(frame)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        one = await self._open(socket, await socket.receive_json())
        if one is None:
            return socket
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._frame(one, json.loads(message.data))
        finally:
            self.connections.remove(one)
        return socket

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=503)
        identify, *frames = await request.json()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        socket = EventSocket(response)
        one = await self._open(socket, identify)
        if one is None:
            return response
        try:
            for frame in frames:
                await self._frame(one, frame)
            await socket.closed.wait()
        finally:
            self.connections.remove(one)
        return response

    async def _open(
        self, socket: web.WebSocketResponse | EventSocket, identify: dict[str, Any]
    ) -> Connection | None:
        one = Connection(socket, identify)
        self.history.append(one)
        if identify["token"] not in self.valid_tokens:
            await socket.close(code=4401)
            return None
        one.resumed = identify.get("epoch") == self.epoch and "since" in identify
        if one.resumed:
            before = self.history[-2]
            one.viewports, one.seen = before.viewports[-1:], set(before.seen)
        self.connections.append(one)
        welcome = {
            "v": 1,
            "type": "welcome",
            "session": "s1",
            "epoch": self.epoch,
            "seq": self.seq,
            "recovered": one.resumed,
            "heartbeat_seconds": 20,
        }
        await socket.send_json(welcome)
        return one

    async def _frame(self, one: Connection, frame: dict[str, Any]) -> None:
        if frame["type"] != "viewport":
            return
        if one.resumed and one.viewports == [frame]:
            return  # still in force
        one.viewports.append(frame)
        shown = [entity for entity in self.entities.values() if one.shows(entity, self.filters)]
        one.seen = {entity["id"] for entity in shown}
        snapshot = {"v": 1, "type": "snapshot", "epoch": self.epoch, "seq": self.seq, "entities": shown}
        await one.socket.send_json(snapshot)

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response({"demo": True}) if self.demo else web.Response(status=404)

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(DIST / "index.html")

    async def _token(self, _: web.Request) -> web.Response:
        return web.json_response({"token": "demo-token"})

    async def _figures(self, _: web.Request) -> web.Response:
        return web.json_response({"processes": self.processes})

    async def _filters(self, _: web.Request) -> web.Response:
        return web.json_response({"filters": list(self.filters.values())})

    async def _save(self, request: web.Request) -> web.Response:
        saved = {**await request.json(), "id": f"f{len(self.filters) + 1}", "owner": "demo"}
        self.filters[saved["id"]] = saved
        return web.json_response(saved, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        self.filters.pop(request.match_info["id"], None)
        return web.Response(status=204)
