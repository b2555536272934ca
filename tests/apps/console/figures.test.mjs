// The tier's figures: summed over processes, the worst of times, and nothing that is not there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { digest, format } from "../../../apps/console/src/figures.js";

const gateway = (connections, p99) => ({
  service: "websocket",
  figures: { ActiveConnectionsPerTask: connections, OutgoingMessagesPerSecond: 2.5, Resyncs: 1 },
  spreads: { EventToDelivery: { p50: 12, p99, count: 9 }, LoopLag: { p50: 0.1, p99: 1, count: 30 } },
});
const named = (processes) => Object.fromEntries(digest(processes).map(([name, value]) => [name, value]));

test("two gateways are one tier: what they do adds up, of what is late the worst counts", () => {
  const rows = named([
    gateway(3, 40),
    gateway(4, 90),
    { service: "filter-processor", figures: { StreamLag: 7 }, spreads: { LoopLag: { p50: 1, p99: 55, count: 30 } } },
  ]);
  assert.equal(rows.Connections, 7);
  assert.equal(rows.Out, 5);
  assert.equal(rows.Resync, 2);
  assert.equal(rows["Delivery p99"], 90);
  assert.equal(rows["Loop p99"], 55);
  assert.equal(rows.Stream, 7);
});

test("what nobody measured is unknown, not zero milliseconds", () => {
  const rows = named([]);
  assert.equal(rows["Delivery p99"], null);
  assert.equal(rows.Outbox, null);
  assert.equal(rows.Connections, 0);
  assert.equal(format(null), "–");
});

test("figures stay short", () => {
  assert.deepEqual([0, 7, 7.26, 72.6, 25_400].map(format), ["0", "7", "7.3", "73", "25k"]);
});
