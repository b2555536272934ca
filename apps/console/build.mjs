// Puts the page together in dist/: our modules as they are, the map library, and the world's coastlines as GeoJSON.
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { feature, mesh } from "topojson-client";
import { anchor } from "./src/geometry.js";

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "src");
const modules = join(here, "node_modules");
// Built aside and moved over at the end by build.py: a page that is being served never sees half a build.
const target = process.env.SLIPWAY_CONSOLE_OUT ?? join(here, "dist");

const rounded = (digits) => (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(digits)) : value;

async function topology(name) {
  return JSON.parse(await readFile(join(modules, "world-atlas", `${name}.json`), "utf8"));
}

async function geo(name, value, digits = 3) {
  await writeFile(join(target, "geo", `${name}.json`), JSON.stringify(value, rounded(digits)));
}

function borders(world) {
  // only lines that two countries share: the coast is the land's own outline
  return mesh(world, world.objects.countries, (one, other) => one !== other);
}

function names(world) {
  const features = world.objects.countries.geometries
    .map((country) => ({ name: country.properties.name, ...anchor(feature(world, country).geometry) }))
    .filter((label) => label.area > 0.02)
    .map(({ name, lon, lat, area }) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: [lon, lat] },
      properties: { name, area: Number(area.toFixed(2)) },
    }));
  return { type: "FeatureCollection", features };
}

await rm(target, { recursive: true, force: true });
await mkdir(join(target, "geo"), { recursive: true });
await mkdir(join(target, "vendor"), { recursive: true });

await cp(source, target, { recursive: true });
// the client of the gateway is a package of its own
const client = join(here, "..", "client", "js");
await mkdir(join(target, "client"));
for (const name of await readdir(client)) if (name.endsWith(".js")) await cp(join(client, name), join(target, "client", name));

const library = join(modules, "maplibre-gl");
for (const [from, to] of [
  ["dist/maplibre-gl.mjs", "maplibre-gl.js"],
  ["dist/maplibre-gl-worker.mjs", "maplibre-gl-worker.js"],
  ["dist/maplibre-gl.css", "maplibre-gl.css"],
  ["LICENSE.txt", "maplibre-gl.LICENSE.txt"],
]) {
  const text = await readFile(join(library, from), "utf8");
  // the source maps stay behind: they are three times the library
  await writeFile(join(target, "vendor", to), text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n"));
}
await cp(join(modules, "world-atlas", "LICENSE"), join(target, "geo", "LICENSE.txt"));

const [land, coarse, fine] = await Promise.all(["land-50m", "countries-50m", "countries-10m"].map(topology));
await geo("land", feature(land, land.objects.land));
await geo("borders-coarse", borders(coarse), 2);
await geo("borders", borders(fine));
await geo("countries", names(coarse), 2);

const files = (await readdir(target, { recursive: true })).length;
console.log(`console: ${files} files in dist/`);
