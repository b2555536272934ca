// The behaviour that every client has: scenarios.json, on a clock of our own, with a scripted server.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Live } from "../../../apps/client/js/index.js";

const scenarios = JSON.parse(readFileSync(new URL("scenarios.json", import.meta.url), "utf8"));
const settled = () => new Promise((resolve) => setImmediate(resolve));

class Clock {
  now = 0;
  timers = new Map();
  setTimeout = (act, wait) => {
    const id = Symbol("timer");
    this.timers.set(id, { at: this.now + wait, act });
    return id;
  };
  clearTimeout = (id) => this.timers.delete(id);

  async pass(milliseconds) {
    const until = this.now + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= until).sort(([, one], [, two]) => one.at - two.at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].act();
      await settled();
    }
    this.now = until;
  }
}

class Socket {
  sent = [];
  hungUp = false;
  constructor(kind, url, frames = []) {
    this.kind = kind;
    this.url = url;
    this.sent.push(...frames.map((text) => JSON.parse(text)));
  }
  send(text) {
    assert.equal(this.kind, "websocket");
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.hungUp = true;
  }
}

class World {
  clock = new Clock();
  /** What happened since it was asked for last. */
  seen = { states: [], changes: [], messages: [], presences: [], failures: [], resyncs: 0, tokens_asked: [], opened: [], probes: [] };

  constructor({ options = {}, tokens = 6, random = 1 }) {
    const websocket = (url) => {
      assert.equal(url, "ws://here/ws");
      const socket = new Socket("websocket", url);
      if (this.live.state === "live") this.seen.probes.push(socket);
      else this.seen.opened.push(socket);
      return socket;
    };
    const sse = (url, frames) => {
      assert.equal(url, "http://here/events");
      const socket = new Socket("sse", url, frames);
      this.seen.opened.push(socket);
      return socket;
    };
    let given = 0;
    const token = async (fresh) => {
      this.seen.tokens_asked.push(fresh);
      if (tokens === "fail") throw new Error("away");
      given += 1;
      return given <= tokens ? `t${given}` : null;
    };
    this.live = new Live({ url: "http://here/", token, sockets: { websocket, sse }, clock: this.clock, random: () => random, ...options });
    this.live.on("state", (name, detail) => {
      this.seen.states.push(name);
      this.detail = detail;
    });
    this.live.on("change", ({ upserts, removes }) => this.seen.changes.push([upserts.map(({ id }) => id), removes]));
    this.live.on("message", ({ channel, id }) => this.seen.messages.push(`${channel} ${id}`));
    this.live.on("presence", ({ channel, count }) => this.seen.presences.push(`${channel} ${count}`));
    this.live.on("failure", ({ code }) => this.seen.failures.push(code));
    this.live.on("resync", () => (this.seen.resyncs += 1));
  }

  take(what) {
    const had = this.seen[what];
    this.seen[what] = typeof had === "number" ? 0 : [];
    return had;
  }

  async run(steps) {
    for (const step of steps) {
      const [[verb, what]] = Object.entries(step);
      assert.ok(this[verb], `unknown step ${verb}`);
      await this[verb](what, JSON.stringify(step));
      await settled();
    }
  }

  // what the program does
  look = (viewport) => this.live.look(viewport);
  start = () => this.live.start();
  stop = () => this.live.stop();
  hurry = () => this.live.hurry();
  subscribe = ({ channels, ...more }) => this.live.subscribe(channels, more);
  unsubscribe = (channels) => this.live.unsubscribe(channels);

  // what the server and the clock do
  pass = (milliseconds) => this.clock.pass(milliseconds);
  accept = () => this.socket.onopen?.({});
  say = (frame) => this.say_text(JSON.stringify({ v: 1, ...frame }));
  say_text = (text) => this.socket.onmessage({ data: text });
  heartbeat = () => this.say_text("");
  close = ({ code, reason = "" }) => this.socket.onclose({ code, reason });
  keep_old = () => (this.old = { onmessage: this.socket.onmessage, onclose: this.socket.onclose });
  old_says = (frame) => this.old.onmessage({ data: JSON.stringify({ v: 1, ...frame }) });
  old_closes = ({ code, reason = "" }) => this.old.onclose({ code, reason });
  probe_fails = () => this.probe.onclose({ code: 1006, reason: "" });
  probe_accept = () => {
    this.seen.opened.push(this.probe);
    return this.probe.onopen({});
  };

  // what is expected
  opens = (kind, step) => {
    const opened = this.take("opened");
    assert.deepEqual(opened.map((one) => one.kind), kind === null ? [] : [kind], step);
    if (kind === null) return;
    this.former = this.socket;
    this.socket = opened[0];
    this.sentBefore = 0;
  };
  sent = (frames, step) => {
    const fresh = this.socket.sent.slice(this.sentBefore);
    this.sentBefore = this.socket.sent.length;
    if (typeof frames === "number") assert.equal(fresh.length, frames, step);
    else assert.deepEqual(fresh, frames, step);
  };
  hung_up = (_, step) => assert.equal(this.socket.hungUp, true, step);
  probes = (count, step) => {
    const probes = this.take("probes");
    assert.equal(probes.length, count, step);
    this.probe = probes.at(-1) ?? this.probe;
  };
  detail_ = (wanted, step) => {
    for (const [name, value] of Object.entries(wanted)) assert.equal(this.told[name], value, `${step}: ${name}`);
  };
  set detail(value) {
    this.told = value;
  }
  get detail() {
    return this.detail_;
  }
  entities = (versions, step) =>
    assert.deepEqual(Object.fromEntries([...this.live.entities].map(([id, { version }]) => [id, version])), versions, step);
}
for (const name of ["states", "changes", "messages", "presences", "failures", "resyncs", "tokens_asked"]) {
  World.prototype[name] = function (wanted, step) {
    assert.deepEqual(this.take(name), wanted, step);
  };
}

/** Where a scenario with `"live": true` begins: connected, at a snapshot with one entity. */
const LIVE = [
  { look: { west: 5, south: 45, east: 11, north: 48 } },
  { start: {} },
  { accept: {} },
  { say: { type: "welcome", session: "s1", epoch: "e1", seq: 0, recovered: false, heartbeat_seconds: 10 } },
  { say: { type: "snapshot", epoch: "e1", seq: 1, entities: [{ id: "a", version: 3 }] } },
];

for (const scenario of scenarios) {
  test(scenario.name, async () => {
    const world = new World(scenario);
    if (scenario.live) {
      await world.run(LIVE.slice(0, 2));
      await world.run([{ opens: scenario.options?.transport === "sse" ? "sse" : "websocket" }]);
      await world.run(LIVE.slice(2));
      world.sentBefore = world.socket.sent.length;
      for (const name of ["states", "changes"]) world.take(name);
    }
    await world.run(scenario.steps);
  });
}
