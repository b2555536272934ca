// The event stream of the browser's client: its wire format in any pieces, and what an HTTP error is as a close.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { EventParser, EventStream } from "../../../apps/client/js/stream.js";

const cases = JSON.parse(readFileSync(new URL("streams.json", import.meta.url), "utf8"));
const TEXT = cases.text;

test("events come out the same in whatever pieces they arrive", () => {
  const wanted = cases.events.map(([type, data]) => ({ type, data }));
  for (let size = 1; size <= TEXT.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < TEXT.length; at += size) events.push(...parser.feed(TEXT.slice(at, at + size)));
    assert.deepEqual(events, wanted, `pieces of ${size}`);
  }
});

/** Opens a stream on a server that answers so, and returns what was heard until the end. */
async function exchange(answer) {
  let asked = "";
  const server = createServer((request, response) => {
    request.on("data", (chunk) => (asked += chunk));
    request.on("end", () => answer(response));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const heard = [];
  const stream = new EventStream(`http://127.0.0.1:${server.address().port}/events`, ['{"type":"identify"}', '{"type":"viewport"}']);
  const end = await new Promise((resolve) => {
    stream.onopen = () => heard.push("open");
    stream.onmessage = ({ data }) => heard.push(data);
    stream.onclose = resolve;
  });
  server.closeAllConnections();
  server.close();
  return { asked, heard, end };
}

test("frames go out as one array, events and the close come back", async () => {
  const { asked, heard, end } = await exchange((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const byte of Buffer.from(TEXT.replaceAll("\r", ""))) response.write(Buffer.from([byte]));
    response.end();
  });
  assert.deepEqual(JSON.parse(asked), [{ type: "identify" }, { type: "viewport" }]);
  assert.deepEqual(heard, ["open", "", '{"a":"ü: b"}']);
  assert.deepEqual(end, { code: 1012, reason: "x" });
});

test("a problem is the close that a websocket would have had; anything else is a broken connection", async () => {
  for (const { status, type, body, headers = {}, end: wanted } of cases.refusals) {
    const { heard, end } = await exchange((response) => {
      response.writeHead(status, { "content-type": type, ...headers });
      response.end(body);
    });
    assert.deepEqual([end.code, end.reason], wanted, `${status} ${body}`);
    assert.deepEqual(heard, []);
  }
});

test("a stream that ends without a word is a broken connection", async () => {
  const { end } = await exchange((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\nda");
    response.destroy();
  });
  assert.deepEqual(end, { code: 1006, reason: "" });
});
