// Wires the page together: session, connection, store, map and what stands around it.
import { Session } from "./api.js";
import { Live } from "./client/index.js";
import { watchFigures } from "./figures.js";
import { frame } from "./geometry.js";
import { createMap, drawable } from "./map.js";
import { Overlay } from "./overlay.js";
import { Latency, Rate } from "./stats.js";
import * as ui from "./ui.js";

const SETTLE = 160; // the map has come to rest for this long: the server is told where it looks
const WHILE_MOVING = 700; // ... and this often during a long move

function start() {
  const session = new Session();
  const rates = { updates: new Rate(), messages: new Rate() };
  const latency = new Latency();
  const kinds = new Map();
  const applied = new Set();
  let filters = [];
  let waiting = []; // times of changes that are applied and not yet painted

  const live = new Live({ url: location.href, token: (fresh) => session.token(fresh), inbox: true });
  const { store } = live;

  const map = createMap(document.getElementById("map"));
  const overlay = new Overlay(map, store);
  overlay.onFrame = () => {
    for (const at of waiting) latency.add(Date.now() - at, performance.now());
    waiting = [];
  };

  live.on("state", state);
  live.on("change", take);
  live.on("failure", failure);
  live.on("looked", subscribed);
  live.on("message", ui.showMessage);
  live.on("subscribed", (subscriptions) => {
    if (subscriptions.some(({ recovered }) => !recovered)) ui.showMessage({ id: "missed", data: { text: "Some messages to you were missed." } });
  });

  const handle = { state: "connecting", states: [], subscriptions: 0, snapshots: 0, reconnects: 0, resumed: 0, failures: [] };

  function state(name, detail) {
    handle.transport = detail.transport;
    handle.states.push(name);
    if (handle.states.length > 20) handle.states.shift();
    if (name === "live" && handle.snapshots) handle.reconnects += 1;
    if (name === "live" && detail.recovered) handle.resumed += 1;
    handle.state = name;
    ui.showState(name, detail);
    if (name === "live") loadFilters();
    if (name === "signed-out") signIn(detail);
  }

  async function signIn(detail) {
    session.forget();
    session.keep(await ui.askToken(detail));
    live.start();
  }

  function take(changes) {
    rates.messages.add(1, performance.now());
    if (changes.snapshot) {
      handle.snapshots += 1;
      ui.notice(changes.truncated ? "There is more here than can be shown at once: zoom in to see all of it." : null);
    } else {
      rates.updates.add(changes.operations, performance.now());
      if (changes.operations && waiting.length < 200) waiting.push(changes.at);
    }
    overlay.apply(changes);
    for (const { kind } of changes.upserts) if (!kinds.has(kind) && kinds.size < 50) kinds.set(kind, true);
  }

  function failure({ code, message, hint }) {
    handle.failures.push(code);
    if (handle.failures.length > 20) handle.failures.shift();
    ui.notice([message, hint].filter(Boolean).join(" "));
  }

  function subscribed(viewport) {
    handle.subscriptions += 1;
    handle.viewport = viewport;
  }

  function look() {
    const bounds = map.getBounds();
    const box = frame({ west: bounds.getWest(), south: bounds.getSouth(), east: bounds.getEast(), north: bounds.getNorth() });
    const viewport = { ...box, zoom: Math.round(map.getZoom() * 100) / 100 };
    if (applied.size) viewport.filters = [...applied];
    const hidden = [...kinds].filter(([, on]) => !on);
    if (hidden.length) viewport.kinds = [...kinds].filter(([, on]) => on).map(([kind]) => kind);
    // no kinds means all of them: when none is wanted, one that does not exist is asked for
    if (hidden.length && !viewport.kinds.length) viewport.kinds = ["(none)"];
    live.look(viewport);
  }

  let settle;
  let moved = 0;
  map.on("move", () => {
    clearTimeout(settle);
    settle = setTimeout(look, SETTLE);
    if (performance.now() - moved > WHILE_MOVING) {
      moved = performance.now();
      look();
    }
  });
  map.on("resize", () => {
    clearTimeout(settle);
    settle = setTimeout(look, SETTLE);
  });

  // --- filters ---

  async function loadFilters() {
    try {
      filters = await session.filters();
      const known = new Set(filters.map((saved) => saved.id));
      for (const id of applied) if (!known.has(id)) applied.delete(id);
      showFilters();
    } catch (error) {
      ui.notice(`Saved filters could not be loaded: ${error.message}.`);
    }
  }

  function showFilters() {
    ui.showFilters(filters, applied, { apply, remove });
  }

  function apply(id, on) {
    if (on) applied.add(id);
    else applied.delete(id);
    showFilters();
    look();
  }

  async function remove(id) {
    try {
      await session.request("DELETE", `/filters/${encodeURIComponent(id)}`);
    } catch (error) {
      if (error.status !== 404) return ui.notice(`The filter was not deleted: ${error.message}.`);
    }
    filters = filters.filter((saved) => saved.id !== id);
    return apply(id, false);
  }

  ui.onNewFilter(async (saved) => {
    const made = await session.request("POST", "/filters", saved);
    filters = [...filters, made];
    apply(made.id, true);
  });

  // --- one entity ---

  function select(id) {
    overlay.selected = id;
    ui.showEntity(id === null ? undefined : store.get(id), id === null ? null : overlay.pose(id));
  }

  map.on("click", (event) => select(overlay.hit(event.point.x, event.point.y)));
  map.on("mousemove", (event) => {
    overlay.hovered = overlay.hit(event.point.x, event.point.y);
    map.getCanvas().style.cursor = overlay.hovered === null ? "" : "pointer";
  });
  ui.onCloseEntity(() => select(null));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") select(null);
  });
  ui.onFind((wanted) => {
    const prefix = wanted.toUpperCase();
    const named = (entity) => [entity.id, String(entity.attributes?.callsign ?? "")].some((name) => name.toUpperCase().startsWith(prefix));
    const found = [...store.entities.values()].find(named);
    if (found === undefined) return false;
    select(found.id);
    const pose = overlay.pose(found.id) ?? found;
    map.easeTo({ center: [pose.lon, pose.lat], zoom: Math.max(map.getZoom(), 8) });
    return true;
  });

  setInterval(() => {
    const now = performance.now();
    handle.figures = {
      count: store.size,
      updates: rates.updates.perSecond(now),
      messages: rates.messages.perSecond(now),
      latency: latency.quantile(0.5, now),
    };
    ui.showFigures(handle.figures);
    ui.showKinds(kinds, (kind, on) => {
      kinds.set(kind, on);
      look();
    });
    if (overlay.selected !== null) select(store.get(overlay.selected) === undefined ? null : overlay.selected);
  }, 250);

  addEventListener("online", () => live.hurry());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) live.hurry();
  });

  ui.drawLegend();
  look();
  live.start();
  watchFigures(session, document.querySelector(".panel"));

  // for tests and the curious: what is shown, read only
  globalThis.slipway = Object.freeze({
    map,
    status: () => ({ ...handle, viewport: { ...handle.viewport }, count: store.size, drawn: overlay.drawn.length, selected: overlay.selected }),
    pose: (id) => overlay.pose(id),
    ids: () => [...store.entities.keys()],
    drawn: () => overlay.drawn.map(({ id, x, y, heading }) => ({ id, x, y, heading })),
  });
}

if (drawable()) start();
else ui.showNoWebgl();
