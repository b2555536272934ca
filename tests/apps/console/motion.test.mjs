// Between two updates an entity glides; a real jump is a jump.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Motion } from "../../../apps/console/src/motion.js";

const fly = (updates, step = 1000) => {
  const motion = new Motion({ lat: 47, lon: 8, heading: 90 }, 0);
  for (let index = 1; index <= updates; index += 1) motion.update({ lat: 47, lon: 8 + index * 0.01, heading: 90 }, index * step);
  return motion;
};

test("after two updates it goes on at the speed it had", () => {
  const motion = fly(5);
  const { lon } = motion.pose(5500);
  assert.ok(Math.abs(lon - 8.055) < 0.001, `at ${lon}`);
});

test("an update never makes the picture jump: just before and just after it is at the same place", () => {
  const motion = fly(4);
  const before = motion.pose(4999);
  motion.update({ lat: 47.02, lon: 8.045, heading: 80 }, 5000);
  const after = motion.pose(5001);
  assert.ok(Math.hypot(after.lat - before.lat, after.lon - before.lon) < 0.0005);
  assert.ok(Math.abs(after.heading - before.heading) < 1);
});

test("the error is taken back: soon it is where it should be", () => {
  const motion = fly(4);
  motion.update({ lat: 47.02, lon: 8.05, heading: 90 }, 5000);
  const stopped = motion.pose(5000 + 60_000);
  assert.ok(stopped.lat > 47.02 && stopped.lat < 47.05, `at ${stopped.lat}`);
});

test("without news it goes on for a while, then stands still", () => {
  const motion = fly(5);
  assert.deepEqual(motion.pose(60_000), motion.pose(90_000));
  assert.ok(motion.pose(60_000).lon < 8.07);
});

test("a jump across the country appears there at once, without speed and without trail behind it", () => {
  const motion = fly(5);
  assert.equal(motion.update({ lat: 46, lon: 6, heading: 10 }, 6000), true);
  const { lat, lon, heading } = motion.pose(6500);
  assert.deepEqual([lat, lon, heading], [46, 6, 10]);
  assert.deepEqual(motion.trail, [{ lat: 46, lon: 6 }]);
});

test("it crosses the antimeridian the short way, and heading turns through north", () => {
  const motion = new Motion({ lat: 0, lon: 179.99, heading: 350 }, 0);
  motion.update({ lat: 0, lon: -179.99, heading: 10 }, 1000);
  const { lon, heading } = motion.pose(1100);
  assert.ok(Math.abs(lon) > 179.9, `at ${lon}`);
  assert.ok(heading > 350 || heading < 10, `turned to ${heading}`);
});

test("two updates in the same instant do not fling it away", () => {
  const motion = fly(3);
  motion.update({ lat: 47, lon: 8.031, heading: 90 }, 3001);
  assert.ok(Math.abs(motion.pose(4000).lon - 8.04) < 0.01);
});

test("the trail has a bound, and standing still adds nothing to it", () => {
  const motion = fly(100);
  assert.equal(motion.trail.length, 16);
  const last = motion.trail.length;
  motion.update({ lat: 47, lon: 9, heading: 90 }, 101_000);
  motion.update({ lat: 47, lon: 9, heading: 90 }, 102_000);
  assert.equal(motion.trail.length, last);
});
