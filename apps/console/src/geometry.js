// Angles on a globe: longitudes that wrap, boxes that may cross the antimeridian. Pure.

export const wrap = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

/** The way from one angle to another on the shorter side, -180 to 180. */
export const turn = (from, to) => wrap(to - from);

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * What the map shows, as the server wants it: longitudes within -180 and 180, west > east when the box crosses
 * the antimeridian. `margin` widens it by a part of its size, so that what comes in at an edge is there already.
 */
export function frame({ west, south, east, north }, margin = 0.08) {
  const wide = (east - west) * margin;
  const high = (north - south) * margin;
  const box = { south: clamp(south - high, -90, 90), north: clamp(north + high, -90, 90) };
  if (east - west + 2 * wide >= 360) return { west: -180, east: 180, ...box };
  return { west: round(wrap(west - wide)), east: round(edge(east + wide)), south: round(box.south), north: round(box.north) };
}

// 180 itself is a valid eastern edge and must not become -180
const edge = (lon) => (lon === 180 ? 180 : wrap(lon));
const round = (value) => Math.round(value * 1e5) / 1e5;

export function inside({ west, south, east, north }, lat, lon) {
  if (lat < south || lat > north) return false;
  return west <= east ? lon >= west && lon <= east : lon >= west || lon <= east;
}

const KM_PER_DEGREE = 111.195;

/** Kilometres between two points near each other (flat within a box of some degrees). */
export function distance(one, two) {
  const x = turn(one.lon, two.lon) * Math.cos((((one.lat + two.lat) / 2) * Math.PI) / 180);
  return Math.hypot(x, two.lat - one.lat) * KM_PER_DEGREE;
}

/** Where a country's name goes: the middle of its largest part, with that part's size in square degrees. */
export function anchor(geometry) {
  const parts = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  let best = { area: -1, lon: 0, lat: 0 };
  for (const [ring] of parts) {
    const found = centroid(ring);
    if (found.area > best.area) best = found;
  }
  return best;
}

function centroid(ring) {
  let double = 0;
  let x = 0;
  let y = 0;
  for (let i = 0; i + 1 < ring.length; i += 1) {
    const [x0, y0] = ring[i];
    const [x1, y1] = ring[i + 1];
    const cross = x0 * y1 - x1 * y0;
    double += cross;
    x += (x0 + x1) * cross;
    y += (y0 + y1) * cross;
  }
  if (double === 0) return { area: 0, lon: ring[0][0], lat: ring[0][1] };
  return { area: Math.abs(double) / 2, lon: x / (3 * double), lat: y / (3 * double) };
}
