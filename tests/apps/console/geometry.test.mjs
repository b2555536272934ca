// Boxes, longitudes and names' places.
import assert from "node:assert/strict";
import { test } from "node:test";
import { anchor, distance, frame, inside, turn, wrap } from "../../../apps/console/src/geometry.js";

test("a viewport over the antimeridian has its west above its east, and contains both sides", () => {
  const box = frame({ west: 170, south: -10, east: 190, north: 10 }, 0);
  assert.deepEqual(box, { west: 170, south: -10, east: -170, north: 10 });
  assert.ok(inside(box, 0, 179) && inside(box, 0, -179));
  assert.ok(!inside(box, 0, 0));
});

test("a map that was turned round the world reports where it is, within -180 and 180", () => {
  assert.deepEqual(frame({ west: 365, south: 0, east: 375, north: 10 }, 0), { west: 5, south: 0, east: 15, north: 10 });
});

test("a view wider than the world is the whole world, and latitudes end at the poles", () => {
  assert.deepEqual(frame({ west: -200, south: -89, east: 200, north: 89 }, 0.08), { south: -90, north: 90, west: -180, east: 180 });
});

test("the margin widens a view on all sides", () => {
  const box = frame({ west: 0, south: 0, east: 10, north: 10 }, 0.1);
  assert.deepEqual(box, { west: -1, south: -1, east: 11, north: 11 });
});

test("the way between two angles is the shorter one", () => {
  assert.equal(turn(350, 10), 20);
  assert.equal(turn(10, 350), -20);
  assert.equal(wrap(181), -179);
});

test("a degree of latitude is 111 km, and one of longitude shrinks to half of that at 60 degrees", () => {
  assert.ok(Math.abs(distance({ lat: 0, lon: 0 }, { lat: 1, lon: 0 }) - 111.195) < 0.01);
  assert.ok(Math.abs(distance({ lat: 60, lon: 179.5 }, { lat: 60, lon: -179.5 }) - 55.6) < 0.1);
});

test("a country's name goes to the middle of its largest part", () => {
  const square = (x, y, size) => [[[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]];
  const found = anchor({ type: "MultiPolygon", coordinates: [square(0, 0, 1), square(10, 10, 4)] });
  assert.deepEqual(found, { area: 16, lon: 12, lat: 12 });
});
