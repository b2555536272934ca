// Where an entity is shown between two updates: it goes on at the speed it had, and what that gets wrong is
// taken back softly, so that nothing jumps and nothing lags behind. Pure; times are milliseconds.
import { distance, turn, wrap } from "./geometry.js";

const SOFT = 350; // time in which an error fades to a third
const TURN = 250;
const FURTHEST = 1.6; // goes on for this many intervals without news, then stands still
const SLOWEST = 15_000; // ... and never longer than this
const SHORTEST = 40;
const JUMP_KM = 25; // an error above this is no error: the entity is elsewhere
const TRAIL = 16;

export class Motion {
  constructor({ lat, lon, heading }, now) {
    this.at = now;
    this.lat = lat;
    this.lon = lon;
    this.vlat = 0;
    this.vlon = 0;
    this.interval = 0;
    this.offLat = 0;
    this.offLon = 0;
    this.heading = heading ?? 0;
    this.offHeading = 0;
    this.hasHeading = heading !== null && heading !== undefined;
    this.trail = [{ lat, lon }];
  }

  update({ lat, lon, heading }, now) {
    const shown = this.pose(now);
    const north = lat - this.lat;
    const east = turn(this.lon, lon);
    const passed = now - this.at;
    const moved = north !== 0 || east !== 0;
    const jump = distance(shown, { lat, lon }) > Math.max(JUMP_KM, 6 * this.#reach());
    if (passed >= SHORTEST) {
      // half new, half known: two updates that come close together must not fling the icon ahead
      const keep = this.interval ? 0.5 : 0;
      const span = Math.min(passed, SLOWEST * 2);
      this.vlat = keep * this.vlat + (1 - keep) * (north / span);
      this.vlon = keep * this.vlon + (1 - keep) * (east / span);
      this.interval = this.interval ? 0.5 * this.interval + 0.5 * span : span;
    }
    if (jump) {
      this.vlat = this.vlon = this.interval = this.offLat = this.offLon = 0;
      this.trail = [];
    } else {
      this.offLat = shown.lat - lat;
      this.offLon = turn(lon, shown.lon);
    }
    this.at = now;
    this.lat = lat;
    this.lon = lon;
    if (heading !== null && heading !== undefined) {
      this.offHeading = jump || !this.hasHeading ? 0 : turn(heading, shown.heading);
      this.heading = heading;
      this.hasHeading = true;
    }
    if (moved || jump) {
      this.trail.push({ lat, lon });
      if (this.trail.length > TRAIL) this.trail.shift();
    }
    return jump;
  }

  pose(now) {
    const passed = Math.max(now - this.at, 0);
    const along = Math.min(passed, this.interval * FURTHEST, SLOWEST);
    const fade = Math.exp(-passed / SOFT);
    return {
      lat: Math.min(Math.max(this.lat + this.vlat * along + this.offLat * fade, -90), 90),
      lon: wrap(this.lon + this.vlon * along + this.offLon * fade),
      heading: (this.heading + this.offHeading * Math.exp(-passed / TURN) + 360) % 360,
    };
  }

  // how far it goes in one interval, in kilometres
  #reach() {
    const next = { lat: this.lat + this.vlat * this.interval, lon: this.lon + this.vlon * this.interval };
    return distance(this, next);
  }
}
