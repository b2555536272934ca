// Everything that moves, on a canvas over the map, drawn anew in each frame.
// A GeoJSON source would go through a worker for every frame; this is two multiplications and a copy per icon.
import { color, step } from "./colors.js";
import { wrap } from "./geometry.js";
import { Motion } from "./motion.js";

const FADE = 300;
const NEAR = 18; // pixels around a click
const MOST_TRAILS = 700;
const MOST_LABELS = 450;
const FADES = 5;
const LABEL = 16; // height of a callsign's picture
const LONGEST_PAINT = 0.5; // of the time, at most, goes into painting: a slow machine gets fewer frames

export class Overlay {
  constructor(map, store) {
    this.map = map;
    this.store = store;
    this.motions = new Map();
    this.leaving = new Map(); // id -> {entity, motion, since}: fading out
    this.sprites = new Map();
    this.names = new Map();
    this.drawn = []; // what the last frame showed, for clicks
    this.selected = null;
    this.hovered = null;
    this.onFrame = () => {};
    this.canvas = document.createElement("canvas");
    this.canvas.className = "overlay";
    map.getCanvasContainer().append(this.canvas);
    this.context = this.canvas.getContext("2d");
    // while the map moves it draws in its own frame: the icons must move in that same one
    map.on("render", () => this.#paint());
    let free = 0;
    const frame = (now) => {
      requestAnimationFrame(frame);
      if (now < free || document.hidden) return;
      const begun = performance.now();
      this.#paint();
      const took = performance.now() - begun;
      free = took > 8 ? begun + took / LONGEST_PAINT : 0;
    };
    requestAnimationFrame(frame);
  }

  apply({ upserts, removes }) {
    const now = performance.now();
    for (const entity of upserts) {
      const motion = this.motions.get(entity.id);
      if (motion === undefined) this.#arrive(entity, now);
      else if (motion.update(entity, now)) motion.born = now; // it jumped: it appears anew
    }
    for (const id of removes) this.#leave(id, now);
  }

  pose(id) {
    return this.motions.get(id)?.pose(performance.now()) ?? null;
  }

  /** The entity shown nearest to a point of the page, if one is near enough. */
  hit(x, y) {
    let best = null;
    let nearest = NEAR * NEAR;
    for (const spot of this.drawn) {
      const away = (spot.x - x) ** 2 + (spot.y - y) ** 2;
      if (away < nearest) [best, nearest] = [spot.id, away];
    }
    return best;
  }

  #arrive(entity, now) {
    const left = this.leaving.get(entity.id);
    this.leaving.delete(entity.id);
    if (left !== undefined) left.motion.update(entity, now);
    const motion = left?.motion ?? new Motion(entity, now);
    motion.born ??= now;
    this.motions.set(entity.id, motion);
  }

  #leave(id, now) {
    const motion = this.motions.get(id);
    if (motion === undefined) return;
    this.motions.delete(id);
    this.leaving.set(id, { motion, since: now, look: motion.look });
  }

  #paint() {
    const now = performance.now();
    const view = this.#view();
    const { context: pen } = this;
    pen.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    pen.clearRect(0, 0, view.width, view.height);
    this.drawn = [];
    for (const [id, left] of this.leaving) {
      if (now - left.since > FADE) this.leaving.delete(id);
      else this.#place(view, id, left.motion, left.look, now, 1 - (now - left.since) / FADE);
    }
    const gone = this.drawn;
    this.drawn = [];
    for (const [id, motion] of this.motions) {
      motion.look = this.#look(id, motion.look);
      this.#place(view, id, motion, motion.look, now, Math.min((now - motion.born) / FADE, 1));
    }
    const spots = this.drawn.concat(gone);
    this.#trails(pen, view, spots);
    for (const spot of spots) this.#icon(pen, view, spot);
    this.#labels(pen, view, spots);
    this.onFrame(now);
  }

  #view() {
    const { map, canvas } = this;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const center = map.getCenter();
    const zoom = map.getZoom();
    const world = 512 * 2 ** zoom;
    return { ratio, width, height, zoom, world, lon: center.lng, y: mercator(center.lat), size: Math.min(13 + zoom * 1.5, 30) };
  }

  #project(view, lat, lon) {
    return {
      x: view.width / 2 + (wrap(lon - view.lon) / 360) * view.world,
      y: view.height / 2 + (mercator(lat) - view.y) * view.world,
    };
  }

  #place(view, id, motion, look, now, alpha) {
    if (look === undefined) return;
    const pose = motion.pose(now);
    const spot = this.#project(view, pose.lat, pose.lon);
    if (spot.y < -60 || spot.y > view.height + 60) return;
    // at small scales the world is shown several times over
    for (let x = spot.x - Math.floor((spot.x + 60) / view.world) * view.world; x < view.width + 60; x += view.world) {
      this.drawn.push({ id, x, y: spot.y, heading: pose.heading, motion, look, alpha, shift: x - spot.x });
    }
  }

  #look(id, known) {
    const entity = this.store.get(id);
    if (entity === undefined || entity === known?.entity) return known;
    const { attributes } = entity;
    return { entity, step: step(attributes?.altitude), plane: entity.kind === "aircraft", pointed: entity.heading !== null, label: String(attributes?.callsign || entity.id) };
  }

  #trails(pen, view, spots) {
    if (view.zoom < 4.5) return;
    const many = spots.length > MOST_TRAILS;
    const paths = new Map(); // one path per colour and step of fading: strokes are what costs
    for (const spot of spots) {
      const chosen = spot.id === this.selected;
      if (spot.motion.trail.length > 1 && (chosen || !many)) this.#trail(view, spot, chosen, paths);
    }
    pen.lineCap = "butt";
    pen.lineJoin = "round";
    for (const { path, stroke, alpha, width } of paths.values()) {
      pen.globalAlpha = alpha;
      pen.strokeStyle = stroke;
      pen.lineWidth = width;
      pen.stroke(path);
    }
    pen.globalAlpha = 1;
  }

  #trail(view, spot, chosen, paths) {
    const { trail } = spot.motion;
    const last = trail.length - 1;
    let from = null;
    let path = null;
    let known = "";
    for (let index = 0; index <= last; index += 1) {
      // the newest update lies ahead of the icon or behind it by what motion still smooths: the icon is the end
      const point = index === last ? spot : this.#project(view, trail[index].lat, trail[index].lon);
      const to = { x: index === last ? point.x : point.x + spot.shift, y: point.y };
      if (from !== null && Math.abs(to.x - from.x) < view.world / 2) {
        const fade = Math.ceil((index / last) * FADES);
        const key = `${spot.look.step}:${fade}:${chosen}`;
        if (!paths.has(key)) {
          const alpha = (chosen ? 0.9 : 0.4) * (fade / FADES) ** 1.6;
          paths.set(key, { path: new Path2D(), stroke: color(spot.look.step), alpha, width: chosen ? 2.4 : 1.5 });
        }
        if (key !== known) {
          path = paths.get(key).path;
          path.moveTo(from.x, from.y);
        }
        path.lineTo(to.x, to.y);
        known = key;
      } else known = "";
      from = to;
    }
  }

  #icon(pen, view, spot) {
    const { ratio, size } = view;
    const chosen = spot.id === this.selected;
    if (chosen) ring(pen, spot, size * 0.95);
    const sprite = this.#sprite(spot.look, size, ratio);
    const angle = spot.look.plane || spot.look.pointed ? (spot.heading * Math.PI) / 180 : 0;
    const scale = chosen || spot.id === this.hovered ? 1.2 : 1;
    const cos = Math.cos(angle) * ratio * scale;
    const sin = Math.sin(angle) * ratio * scale;
    pen.globalAlpha = spot.alpha;
    pen.setTransform(cos, sin, -sin, cos, spot.x * ratio, spot.y * ratio);
    pen.drawImage(sprite, -size, -size, size * 2, size * 2);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.globalAlpha = 1;
  }

  #sprite(look, size, ratio) {
    const whole = Math.round(size * 2); // half-pixel sizes share a sprite
    const key = `${look.step}:${look.plane}:${look.pointed}:${whole}:${ratio}`;
    let sprite = this.sprites.get(key);
    if (sprite === undefined) {
      if (this.sprites.size > 600) this.sprites.clear();
      sprite = drawSprite(look, whole, ratio);
      this.sprites.set(key, sprite);
    }
    return sprite;
  }

  #labels(pen, view, spots) {
    const all = view.zoom >= 5.8 && spots.length <= MOST_LABELS;
    const taken = new Set();
    const wanted = spots.filter((spot) => all || this.#rank(spot));
    wanted.sort((one, two) => this.#rank(two) - this.#rank(one));
    for (const spot of wanted) {
      const label = this.#label(spot.look.label, this.#rank(spot) > 0, view.ratio);
      const x = spot.x + view.size * 0.62;
      const y = spot.y - view.size * 0.35 - LABEL / 2;
      const cells = boxes(x, y, label.wide);
      if (!this.#rank(spot) && cells.some((cell) => taken.has(cell))) continue;
      for (const cell of cells) taken.add(cell);
      pen.globalAlpha = spot.alpha;
      pen.drawImage(label.image, x, y, label.wide, LABEL);
    }
    pen.globalAlpha = 1;
  }

  // text with a halo is slow to draw: once per name, then it is only copied
  #label(text, bright, ratio) {
    const key = `${text}:${bright}:${ratio}`;
    let label = this.names.get(key);
    if (label === undefined) {
      if (this.names.size > 2000) this.names.clear();
      label = drawLabel(text, bright, ratio);
      this.names.set(key, label);
    }
    return label;
  }

  #rank(spot) {
    return spot.id === this.selected ? 2 : Number(spot.id === this.hovered);
  }
}

const mercator = (lat) => {
  const sine = Math.sin((Math.min(Math.max(lat, -85.0511), 85.0511) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
};

function drawLabel(text, bright, ratio) {
  const image = document.createElement("canvas");
  const pen = image.getContext("2d");
  const type = `500 11px ${getFont()}`;
  pen.font = type;
  const wide = Math.ceil(pen.measureText(text).width) + 6;
  image.width = Math.ceil(wide * ratio);
  image.height = Math.ceil(LABEL * ratio);
  pen.scale(ratio, ratio);
  pen.font = type;
  pen.textBaseline = "middle";
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = "rgb(10 16 28 / 80%)";
  pen.strokeText(text, 3, LABEL / 2);
  pen.fillStyle = bright ? "#ffffff" : "#b6c5e0";
  pen.fillText(text, 3, LABEL / 2);
  return { image, wide };
}

function boxes(x, y, width) {
  const cells = [];
  for (let column = Math.floor(x / 24); column <= Math.floor((x + width) / 24); column += 1) {
    cells.push(`${column}:${Math.floor(y / 15)}`, `${column}:${Math.floor((y + 9) / 15)}`);
  }
  return cells;
}

let font;
const getFont = () => (font ??= getComputedStyle(document.documentElement).fontFamily);

function ring(pen, spot, radius) {
  pen.beginPath();
  pen.arc(spot.x, spot.y, radius, 0, 2 * Math.PI);
  pen.fillStyle = "rgb(94 224 208 / 14%)";
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = "#5ee0d0";
  pen.stroke();
}

// seen from above, nose up, in a box of -12 to 12
const PLANE = new Path2D(
  "M0 -10.2 C.9 -10.2 1.35 -8.6 1.4 -7 L1.4 -3.1 L10 2.7 L10 4.6 L1.4 2 L1.150 6.7 L3.7 8.7 L3.7 10.1 L0 9.1 " +
    "L-3.7 10.1 L-3.7 8.7 L-1.150 6.7 L-1.4 2 L-10 4.6 L-10 2.7 L-1.4 -3.1 L-1.4 -7 C-1.350 -8.6 -.9 -10.2 0 -10.2 Z",
);
const ARROW = new Path2D("M0 -8 L6 7 L0 4 L-6 7 Z");
const DOT = new Path2D("M0 -5 A5 5 0 1 1 0 5 A5 5 0 1 1 0 -5 Z");

function drawSprite(look, size, ratio) {
  const sprite = document.createElement("canvas");
  sprite.width = sprite.height = Math.ceil(size * ratio);
  const pen = sprite.getContext("2d");
  pen.translate(sprite.width / 2, sprite.height / 2);
  const scale = (size * ratio) / 24 / 1.9;
  pen.scale(scale, scale);
  const shape = look.plane ? PLANE : look.pointed ? ARROW : DOT;
  pen.lineJoin = "round";
  pen.lineWidth = 2.6;
  pen.strokeStyle = "rgb(7 12 22 / 85%)";
  pen.stroke(shape);
  pen.fillStyle = color(look.step);
  pen.fill(shape);
  return sprite;
}
