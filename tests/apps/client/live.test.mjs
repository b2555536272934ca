// The browser's own websocket and stream, where scenarios.json has scripted ones.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { Live } from "../../../apps/client/js/index.js";

test("a page that may open no websocket gets its events: making one throws", async () => {
  const asked = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      asked.push([request.url, JSON.parse(body).map(({ type }) => type)]);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const welcome = { v: 1, type: "welcome", session: "s1", epoch: "e1", seq: 0, recovered: false, heartbeat_seconds: 9 };
      response.write(`data: ${JSON.stringify(welcome)}\n\n`);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const had = globalThis.WebSocket;
  globalThis.WebSocket = class {
    constructor() {
      throw new DOMException("forbidden by the page's policy", "SecurityError");
    }
  };
  const live = new Live({ url: `http://127.0.0.1:${server.address().port}/map`, token: () => "t", random: () => 0.01 });
  const states = [];
  try {
    live.look({ west: 5, south: 45, east: 11, north: 48 });
    await new Promise((resolve) => {
      live.on("state", (state, { transport }) => {
        states.push(`${state} ${transport}`);
        if (state === "live") resolve();
      });
      live.start();
    });
    assert.deepEqual(states, ["connecting websocket", "reconnecting websocket", "reconnecting websocket", "reconnecting sse", "reconnecting sse", "live sse"]);
    assert.deepEqual(asked, [["/events", ["identify", "viewport"]]]);
  } finally {
    live.stop();
    globalThis.WebSocket = had;
    server.closeAllConnections();
    server.close();
  }
});

test("who no longer listens is told nothing", () => {
  const live = new Live({ url: "http://here/", token: () => null });
  const heard = [];
  const off = live.on("state", (state) => heard.push(state));
  live.stop();
  off();
  live.stop();
  assert.deepEqual(heard, ["stopped"]);
});
