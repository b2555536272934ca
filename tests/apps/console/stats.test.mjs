// Figures of the last seconds, waits between attempts, colours and filters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { color, step } from "../../../apps/console/src/colors.js";
import { compose, describe } from "../../../apps/console/src/filters.js";
import { Latency, Rate } from "../../../apps/console/src/stats.js";

test("a rate counts the last five seconds and forgets what is older", () => {
  const rate = new Rate(5000);
  for (let at = 0; at < 5000; at += 100) rate.add(2, at);
  assert.equal(rate.perSecond(4999), 20);
  assert.equal(rate.perSecond(20_000), 0);
});

test("latency is a median that one outlier does not move, and nothing is not zero", () => {
  const latency = new Latency();
  assert.equal(latency.quantile(0.5, 0), null);
  for (const value of [40, 50, 60, 9000]) latency.add(value, 10);
  assert.equal(latency.quantile(0.5, 20), 60);
  latency.add(-5, 10); // the server's clock is ahead
  assert.equal(latency.quantile(0, 20), 0);
});

test("every altitude has a colour, and an unknown one has its own", () => {
  for (let altitude = -2000; altitude <= 60_000; altitude += 250) assert.match(color(step(altitude)), /^rgb\(\d+ \d+ \d+\)$/);
  assert.notEqual(color(step(1000)), color(step(39_000)));
  assert.match(color(step(undefined)), /^#/);
});

test("what was typed becomes conditions that the API knows", () => {
  const { saved } = compose({ callsign: " swr ", lowest: "10000", highest: "", name: "" });
  assert.deepEqual(saved.where, [
    { attribute: "altitude", op: "gte", value: 10_000 },
    { attribute: "callsign", op: "gte", value: "SWR" },
    { attribute: "callsign", op: "lt", value: "SWS" },
  ]);
  assert.equal(saved.name, "SWR… · above 10,000 ft");
});

test("a callsign between the bounds of a prefix is exactly one that starts with it", () => {
  const { saved } = compose({ callsign: "SWR" });
  const [low, high] = saved.where.map((one) => one.value);
  for (const [callsign, wanted] of [["SWR", true], ["SWR12K", true], ["SWS1", false], ["SW", false], ["SWQ9", false]]) {
    assert.equal(callsign >= low && callsign < high, wanted, callsign);
  }
});

test("an empty form, a word for an altitude and a range upside down are each answered with the way out", () => {
  assert.match(compose({}).problem, /callsign/);
  assert.match(compose({ lowest: "high" }).problem, /number of feet/);
  assert.match(compose({ lowest: "200", highest: "100" }).problem, /above the highest/);
});

test("a filter made elsewhere is described too", () => {
  assert.equal(describe({ kinds: ["ship"], where: [{ attribute: "speed", op: "exists" }] }), "ship · speed exists null");
  assert.equal(describe({}), "everything");
});
