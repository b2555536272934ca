// The old filter processor: GEORADIUS 50 km, one GET per candidate, exact check, one PUBLISH per user; four at once.
// Arguments: port, file of viewports and points. It loads, says "loaded", waits for a line, runs, prints its figures.
import Redis from "ioredis";

const AT_ONCE = 4, SECONDS = 3;
const redis = new Redis({ host: "127.0.0.1", port: +process.argv[2] });
const data = JSON.parse(await Bun.file(process.argv[3]).text());
const viewports: number[][] = data.viewports, points: number[][] = data.points;

for (let start = 0; start < viewports.length; start += 500) {
  const pipeline = redis.pipeline();
  for (let i = start; i < Math.min(start + 500, viewports.length); i++) {
    const [south, west, north, east] = viewports[i];
    const center = { lat: (south + north) / 2, lng: (west + east) / 2 };
    pipeline.geoadd("viewports:geo", center.lng, center.lat, "u" + i);
    const bounds = { south, west, north, east };
    const stored = { userId: "u" + i, center, bounds, zoom: 13, updatedAt: 1732200000000 };
    pipeline.set("viewport:u" + i, JSON.stringify(stored), "EX", 3600);
  }
  await pipeline.exec();
}
console.log("loaded");
for await (const _ of console) break;

let updates = 0, candidates = 0, matched = 0, next = 0, done = false;
async function one() {
  const [lat, lng] = points[next++ % points.length];
  const ids = (await redis.georadius("viewports:geo", lng, lat, 50, "km")) as string[];
  candidates += ids.length;
  const entity = { id: "e" + next, lat, lng, status: "active", name: "x".repeat(120) };
  const message = JSON.stringify({ type: "entity.updated", entity });
  const stored = await Promise.all(ids.map((id) => redis.get("viewport:" + id)));
  const publishes: Promise<number>[] = [];
  for (let i = 0; i < ids.length; i++) {
    const text = stored[i];
    if (!text) continue;
    const { south, west, north, east } = JSON.parse(text).bounds;
    if (lat < south || lat > north || lng < west || lng > east) continue;
    matched++;
    publishes.push(redis.publish("user:" + ids[i], message));
  }
  await Promise.all(publishes);
  updates++;
}
const before = process.cpuUsage();
setTimeout(() => (done = true), SECONDS * 1000);
await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (!done) await one(); }));
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ updates, candidates, matched, cpu: (user + system) / 1e6 }));
process.exit(0);
