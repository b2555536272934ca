// The newest version wins, whatever the order of arrival.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../../apps/client/js/store.js";

const entity = (id, version, lat = 0) => ({ id, version, lat, lon: 0, kind: "aircraft", heading: null, attributes: {} });
const upsert = (...args) => ({ op: "upsert", entity: entity(...args) });
const ids = (list) => list.map((one) => one.id ?? one);

test("a snapshot replaces everything and tells what came and what went", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [entity("x", 1), entity("y", 1)] });
  const changes = store.snapshot({ epoch: "a", seq: 2, entities: [entity("y", 1), entity("z", 1)] });
  assert.deepEqual(ids(changes.removes), ["x"]);
  assert.deepEqual(ids(changes.upserts), ["z"]);
  assert.deepEqual([...store.entities.keys()], ["y", "z"]);
});

test("what a delta brought newer than a snapshot of the same epoch stays", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [] });
  store.delta({ epoch: "a", seq: 5, ops: [upsert("x", 7, 50)] });
  store.snapshot({ epoch: "a", seq: 6, entities: [entity("x", 6, 10)] });
  assert.equal(store.get("x").lat, 50);
});

test("a snapshot of a new epoch is believed even where its versions are lower", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [entity("x", 9, 50)] });
  store.snapshot({ epoch: "b", seq: 1, entities: [entity("x", 1, 10)] });
  assert.equal(store.get("x").lat, 10);
});

test("an older or repeated upsert changes nothing", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [entity("x", 5, 50)] });
  const changes = store.delta({ epoch: "a", seq: 2, ops: [upsert("x", 4, 10), upsert("x", 5, 20)] });
  assert.deepEqual(changes.upserts, []);
  assert.equal(store.get("x").lat, 50);
});

test("a removed entity is not brought back by an older upsert, but by one of its own version or a newer one", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [entity("x", 5)] });
  store.delta({ epoch: "a", seq: 2, ops: [{ op: "remove", id: "x", version: 6 }] });
  assert.deepEqual(store.delta({ epoch: "a", seq: 3, ops: [upsert("x", 5)] }).upserts, []);
  assert.equal(store.delta({ epoch: "a", seq: 4, ops: [upsert("x", 6)] }).upserts.length, 1);
});

test("a removal older than what is known is ignored", () => {
  const store = new Store();
  store.snapshot({ epoch: "a", seq: 1, entities: [entity("x", 5)] });
  assert.deepEqual(store.delta({ epoch: "a", seq: 2, ops: [{ op: "remove", id: "x", version: 4 }] }).removes, []);
  assert.equal(store.size, 1);
});

test("a delta of another epoch is left alone: a snapshot is on its way", () => {
  const store = new Store();
  store.snapshot({ epoch: "b", seq: 1, entities: [] });
  assert.deepEqual(store.delta({ epoch: "a", seq: 90, ops: [upsert("x", 1)] }).upserts, []);
  assert.equal(store.seq, 1);
});

test("what is remembered of removals has a bound", () => {
  const store = new Store();
  const ops = Array.from({ length: 6000 }, (_, index) => ({ op: "remove", id: `e${index}`, version: 2 }));
  store.delta({ epoch: "a", seq: 1, ops });
  assert.equal(store.removed.size, 5000);
  assert.ok(store.removed.has("e5999") && !store.removed.has("e0"));
});
