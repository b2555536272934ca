"""The behaviour that every client has: scenarios.json on the Python core, on a clock of our own."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from apps.client.core import Core

SCENARIOS = json.loads(Path(__file__).with_name("scenarios.json").read_text())
#: Where a scenario with `"live": true` begins: connected, at a snapshot with one entity.
LIVE = [
    {"accept": {}},
    {
        "say": {
            "type": "welcome",
            "session": "s1",
            "epoch": "e1",
            "seq": 0,
            "recovered": False,
            "heartbeat_seconds": 10,
        }
    },
    {"say": {"type": "snapshot", "epoch": "e1", "seq": 1, "entities": [{"id": "a", "version": 3}]}},
]


class Socket:
    def __init__(self, kind: str, frames: Any) -> None:
        self.kind = kind
        self.frames = [json.loads(text) for text in frames]
        self.hung_up = False

    def send(self, text: str) -> None:
        assert self.kind == "websocket"
        self.frames.append(json.loads(text))

    def close(self) -> None:
        self.hung_up = True


class Timer:
    def __init__(self, at: float, act: Any) -> None:
        self.at, self.act, self.off = at, act, False

    def cancel(self) -> None:
        self.off = True


class World:
    """The core's surroundings, with what happened since it was asked for last."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        options = {"transport": "auto", "inbox": False, **scenario.get("options", {})}
        self.tokens = scenario.get("tokens", 6)
        self.given = 0
        self.now = 0.0
        self.timers: list[Timer] = []
        self.seen: dict[str, list[Any]] = defaultdict(list)
        self.told: Any = None
        self.socket = self.probe = self.old = Socket("none", ())
        self.sent_before = 0
        self.core = Core(self, random=lambda: scenario.get("random", 1), **options)

    # --- what the core needs ---

    def ask_token(self, turn: int, *, fresh: bool) -> None:
        self.seen["tokens_asked"].append(fresh)
        if self.tokens == "fail":
            self.call_later(0, lambda: self.core.token_failed(turn, "away"))
            return
        self.given += 1
        token = f"t{self.given}" if self.given <= self.tokens else None
        self.call_later(0, lambda: self.core.token_given(turn, token))

    def open(self, transport: str, frames: Any) -> Socket:
        socket = Socket(transport, frames)
        probing = transport == "websocket" and self.core.state == "live"
        self.seen["probes" if probing else "opened"].append(socket)
        return socket

    def call_later(self, seconds: float, act: Any) -> Timer:
        timer = Timer(round(self.now + seconds, 6), act)
        self.timers.append(timer)
        return timer

    def tell(self, event: str, *what: Any) -> None:
        if event == "state":
            self.told = what[1]
        told = {
            "state": lambda: ("states", what[0]),
            "change": lambda: ("changes", [[one["id"] for one in what[0].upserts], what[0].removes]),
            "message": lambda: ("messages", f"{what[0]['channel']} {what[0]['id']}"),
            "presence": lambda: ("presences", f"{what[0]['channel']} {what[0]['count']}"),
            "failure": lambda: ("failures", what[0]["code"]),
            "resync": lambda: ("resyncs", 1),
            "subscribed": lambda: ("subscribed", what[0]),
        }
        name, value = told[event]()
        self.seen[name].append(value)

    # --- what the program, the server and the clock do ---

    def pass_(self, milliseconds: float) -> None:
        until = round(self.now + milliseconds / 1000, 6)
        while due := [timer for timer in self.timers if not timer.off and timer.at <= until]:
            first = min(due, key=lambda timer: timer.at)
            self.timers.remove(first)
            self.now = first.at
            first.act()
        self.now = until

    def act(self, verb: str, what: Any) -> bool:
        core, socket = self.core, self.socket
        acts = {
            "look": lambda: core.look(what),
            "start": core.start,
            "stop": core.stop,
            "hurry": core.hurry,
            "subscribe": lambda: core.subscribe(what["channels"], presence=what.get("presence", False)),
            "unsubscribe": lambda: core.unsubscribe(what),
            "pass": lambda: self.pass_(what),
            "accept": lambda: core.opened(socket),
            "say": lambda: core.heard(socket, json.dumps({"v": 1, **what})),
            "say_text": lambda: core.heard(socket, what),
            "heartbeat": lambda: core.heard(socket, ""),
            "close": lambda: core.closed(socket, what["code"], what.get("reason", "")),
            "keep_old": lambda: setattr(self, "old", socket),
            "old_says": lambda: core.heard(self.old, json.dumps({"v": 1, **what})),
            "old_closes": lambda: core.closed(self.old, what["code"], ""),
            "probe_fails": lambda: core.closed(self.probe, 1006, ""),
            "probe_accept": self.accept_probe,
        }
        if verb in acts:
            acts[verb]()
        return verb in acts

    def accept_probe(self) -> None:
        self.seen["opened"].append(self.probe)
        self.core.opened(self.probe)

    # --- what is expected ---

    def expect(self, verb: str, what: Any) -> None:
        if verb == "opens":
            opened = self.seen.pop("opened", [])
            assert [one.kind for one in opened] == ([] if what is None else [what])
            if opened:
                self.socket, self.sent_before = opened[0], 0
        elif verb == "sent":
            fresh = self.socket.frames[self.sent_before :]
            self.sent_before = len(self.socket.frames)
            assert (len(fresh) if isinstance(what, int) else fresh) == what
        elif verb == "hung_up":
            assert self.socket.hung_up
        elif verb == "probes":
            probes = self.seen.pop("probes", [])
            assert len(probes) == what
            self.probe = probes[-1] if probes else self.probe
        elif verb == "detail":
            told = {name: getattr(self.told, name) for name in what}
            if "wait" in told:
                told["wait"] = round(told["wait"] * 1000)
            assert told == what
        elif verb == "entities":
            assert {name: one["version"] for name, one in self.core.store.entities.items()} == what
        elif verb == "resyncs":
            assert len(self.seen.pop(verb, [])) == what
        else:
            assert verb in {"states", "changes", "messages", "presences", "failures", "tokens_asked"}, verb
            assert self.seen.pop(verb, []) == what

    def run(self, steps: list[dict[str, Any]]) -> None:
        for step in steps:
            [(verb, what)] = step.items()
            if not self.act(verb, what):
                self.expect(verb, what)
            self.pass_(0)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_scenario(scenario: dict[str, Any]) -> None:
    """The Python client does what the scenario says, step by step; the JavaScript one runs the same list."""
    world = World(scenario)
    if scenario.get("live"):
        kind = "sse" if scenario.get("options", {}).get("transport") == "sse" else "websocket"
        world.run(
            [{"look": {"west": 5, "south": 45, "east": 11, "north": 48}}, {"start": {}}, {"opens": kind}]
        )
        world.run(LIVE)
        world.sent_before = len(world.socket.frames)
        world.seen["states"].clear()
        world.seen["changes"].clear()
    world.run(scenario["steps"])
