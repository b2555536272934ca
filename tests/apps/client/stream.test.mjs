// The event stream of the browser's client: its wire format in any pieces, and what an HTTP error is as a close.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { EventParser, EventStream } from "../../../apps/client/js/stream.js";

const TEXT = ': hi\n\nid: e1/4\ndata: {"a":"ü: b"}\n\nevent: close\r\ndata: {"code":1012,\ndata: "reason":"x"}\r\n\r\n';

test("events come out the same in whatever pieces they arrive", () => {
  const whole = new EventParser().feed(TEXT);
  assert.deepEqual(whole, [
    { type: "comment", data: "" },
    { type: "message", data: '{"a":"ü: b"}' },
    { type: "close", data: '{"code":1012,\n"reason":"x"}' },
  ]);
  for (let size = 1; size < TEXT.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < TEXT.length; at += size) events.push(...parser.feed(TEXT.slice(at, at + size)));
    assert.deepEqual(events, whole, `pieces of ${size}`);
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

test("a problem is the close that a websocket would have had; a proxy's page is a broken connection", async () => {
  for (const [status, type, body, more, code, reason] of [
    [401, "application/problem+json", '{"code":"token.expired"}', {}, 4401, '{"code":"token.expired"}'],
    [403, "application/problem+json", '{"code":"scope.missing"}', {}, 4401, '{"code":"scope.missing"}'],
    [413, "application/problem+json", '{"code":"body.too_large"}', {}, 4413, '{"code":"body.too_large"}'],
    [503, "application/problem+json", '{"code":"gateway.full"}', { "retry-after": "5" }, 1013, '{"code":"gateway.full","retry_ms":5000}'],
    [503, "application/problem+json", '{"code":"gateway.draining"}', { "retry-after": "2" }, 1012, '{"code":"gateway.draining","retry_ms":2000}'],
    [404, "application/problem+json", '{"code":"route.not_found"}', {}, 1006, ""],
    [502, "text/html", "<h1>bad gateway</h1>", {}, 1006, ""],
    [200, "text/html", "<h1>sign in to the network</h1>", {}, 1006, ""],
  ]) {
    const { heard, end } = await exchange((response) => {
      response.writeHead(status, { "content-type": type, ...more });
      response.end(body);
    });
    assert.deepEqual(end, { code, reason }, `${status} ${body}`);
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
