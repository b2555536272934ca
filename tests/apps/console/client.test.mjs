// The connection's life, on a clock of our own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../../../apps/console/src/client.js";

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

const settled = () => new Promise((resolve) => setImmediate(resolve));
const BOX = { west: 5, south: 45, east: 11, north: 48, zoom: 7 };

async function connection({ tokens = ["t1", "t2", "t3"] } = {}) {
  const sockets = [];
  const states = [];
  const clock = new Clock();
  const given = [...tokens];
  class Socket {
    sent = [];
    closed = false;
    constructor(url) {
      this.url = url;
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close() {
      this.closed = true;
    }
    say(frame) {
      this.onmessage({ data: JSON.stringify({ v: 1, ...frame }) });
    }
    end(code, reason = "") {
      this.onclose({ code, reason });
    }
  }
  const got = [];
  const position = { value: null };
  const client = new Client({
    url: "ws://here/ws",
    token: async () => given.shift() ?? null,
    position: () => position.value,
    on: {
      state: (name, detail) => states.push([name, detail]),
      snapshot: (frame) => got.push(frame),
      delta: (frame) => got.push(frame),
      failure: (frame) => got.push(frame),
    },
    Socket,
    clock,
    random: () => 1,
  });
  client.look(BOX);
  client.start();
  await settled();
  const welcome = (more = {}) => {
    const socket = sockets.at(-1);
    socket.onopen();
    socket.say({ type: "welcome", session: "s1", epoch: "e1", seq: 3, recovered: false, heartbeat_seconds: 10, ...more });
    return socket;
  };
  return { client, clock, sockets, states, got, position, welcome, last: () => states.at(-1)[0] };
}

test("it identifies first, is live after the welcome, and then says where it looks", async () => {
  const { welcome, states } = await connection();
  const socket = welcome();
  assert.deepEqual(socket.sent, [
    { v: 1, type: "identify", token: "t1" },
    { v: 1, type: "viewport", ...BOX },
  ]);
  assert.deepEqual(states.map(([name]) => name), ["connecting", "live"]);
});

test("a moved map re-subscribes, an unmoved one does not", async () => {
  const { client, welcome } = await connection();
  const socket = welcome();
  client.look({ ...BOX });
  client.look({ ...BOX, west: 6 });
  assert.deepEqual(socket.sent.filter((frame) => frame.type === "viewport").map((frame) => frame.west), [5, 6]);
});

test("after a drop it comes back and asks to resume; a recovered session is not asked for a snapshot", async () => {
  const { clock, sockets, position, welcome, last } = await connection();
  welcome();
  position.value = { epoch: "e1", seq: 42 };
  sockets[0].end(1006);
  assert.equal(last(), "reconnecting");
  await clock.pass(500);
  const again = welcome({ recovered: true });
  assert.deepEqual(again.sent, [{ v: 1, type: "identify", token: "t2", since: 42, epoch: "e1", session: "s1" }]);
});

test("a resume that failed subscribes again, and a map moved meanwhile does so too", async () => {
  for (const recovered of [true, false]) {
    const { client, clock, sockets, position, welcome } = await connection();
    welcome();
    position.value = { epoch: "e1", seq: 42 };
    sockets[0].end(1006);
    client.look({ ...BOX, north: 49 });
    await clock.pass(500);
    assert.equal(welcome({ recovered }).sent.at(-1).north, 49);
  }
});

test("attempts wait longer and longer, and a welcome starts over", async () => {
  const { clock, sockets, states, welcome } = await connection({ tokens: Array(9).fill("t") });
  for (const wait of [500, 1000, 2000]) {
    sockets.at(-1).end(1006);
    assert.equal(states.at(-1)[1].wait, wait);
    await clock.pass(wait);
  }
  welcome();
  sockets.at(-1).end(1006);
  assert.equal(states.at(-1)[1].wait, 500);
});

test("a server that restarts is given the time it asks for", async () => {
  const { clock, sockets, states, welcome } = await connection();
  welcome();
  sockets[0].end(1012, '{"retry_ms":3200}');
  assert.deepEqual([states.at(-1)[0], states.at(-1)[1].wait], ["draining", 3200]);
  await clock.pass(3199);
  assert.equal(sockets.length, 1);
  await clock.pass(1);
  assert.equal(sockets.length, 2);
});

test("a restart without a time, or with nonsense, falls back to its own wait", async () => {
  for (const reason of ["", "soon", '{"retry_ms":"x"}']) {
    const { sockets, states, welcome } = await connection();
    welcome();
    sockets[0].end(1012, reason);
    assert.equal(states.at(-1)[1].wait, 500, reason);
  }
});

test("a refused token is replaced once; a second refusal signs out and tries no more", async () => {
  const { clock, sockets, states, last } = await connection();
  sockets[0].onopen();
  sockets[0].end(4401);
  await clock.pass(0);
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].token, "t2");
  sockets[1].end(4401);
  await clock.pass(60_000);
  assert.equal(last(), "signed-out");
  assert.equal(states.at(-1)[1].refused, true);
  assert.equal(sockets.length, 2);
});

test("a refused token that cannot be replaced signs out, and says that it was refused", async () => {
  const { clock, sockets, states } = await connection({ tokens: ["pasted"] });
  sockets[0].onopen();
  sockets[0].end(4401);
  await clock.pass(0);
  assert.deepEqual(states.at(-1), ["signed-out", { refused: true }]);
});

test("nobody signed in: no connection is made", async () => {
  const { sockets, last } = await connection({ tokens: [] });
  assert.equal(sockets.length, 0);
  assert.equal(last(), "signed-out");
});

test("pings are answered, and silence of two heartbeats ends the connection", async () => {
  const { clock, sockets, welcome, last } = await connection();
  const socket = welcome();
  await clock.pass(20_000);
  socket.say({ type: "ping" });
  assert.deepEqual(socket.sent.at(-1), { v: 1, type: "pong" });
  await clock.pass(24_999);
  assert.equal(last(), "live");
  await clock.pass(1);
  assert.equal(last(), "reconnecting");
  assert.equal(socket.closed, true);
  await clock.pass(500);
  assert.equal(sockets.length, 2);
});

test("a server that never welcomes is given up after ten seconds", async () => {
  const { clock, sockets, last } = await connection();
  sockets[0].onopen();
  await clock.pass(10_000);
  assert.equal(last(), "reconnecting");
});

test("the network is back: the attempt is made now, once", async () => {
  const { client, sockets } = await connection();
  sockets[0].end(1006);
  client.hurry();
  client.hurry();
  await settled();
  assert.equal(sockets.length, 2);
});

test("a frame that is no JSON is told and the connection goes on", async () => {
  const { got, welcome, last } = await connection();
  welcome().onmessage({ data: "{" });
  assert.equal(got[0].code, "frame.malformed");
  assert.equal(last(), "live");
});

test("a late event of an old socket changes nothing", async () => {
  const { clock, sockets, welcome, last } = await connection();
  welcome();
  const { onclose } = sockets[0];
  sockets[0].end(1006);
  await clock.pass(500);
  welcome();
  onclose({ code: 1006, reason: "" });
  assert.equal(last(), "live");
});
