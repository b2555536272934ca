// What stands around the map: connection, figures, details of one entity, filters, sign-in.
import { color, step } from "./colors.js";
import { compose, describe } from "./filters.js";

const $ = (id) => document.getElementById(id);

const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  draining: "Server restarts",
  "signed-out": "Signed out",
  stopped: "Stopped",
};

export function showState(state, detail = {}) {
  $("state").dataset.state = state;
  $("state-name").textContent = STATES[state];
  // a stream is slower to follow a moved map: worth a word to whoever wonders
  $("transport").hidden = detail.transport !== "sse";
  clearInterval(showState.timer);
  const until = Date.now() + (detail.wait ?? 0);
  const words = () => {
    const left = Math.max(Math.ceil((until - Date.now()) / 1000), 0);
    return detail.why ? `${capital(detail.why)}; ${left ? `next try in ${left} s` : "trying again"}. The map shows the last known state.` : "";
  };
  const show = () => {
    $("state-detail").textContent = words();
    $("state-detail").hidden = !words() || state === "live";
  };
  show();
  if (detail.wait > 1000) showState.timer = setInterval(show, 500);
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const whole = (value) => Math.round(value).toLocaleString("en");

export function showFigures({ count, updates, messages, latency }) {
  $("count").textContent = whole(count);
  $("updates").textContent = whole(updates);
  $("messages").textContent = messages < 10 ? messages.toFixed(1) : whole(messages);
  $("latency").textContent = latency === null ? "–" : whole(latency);
}

export function notice(text) {
  $("notice").textContent = text ?? "";
  $("notice").hidden = !text;
}

const TOASTS = 4;
const TOAST_FOR = 8000;

/** A message, for a while: `text` of its data, and `done` in percent; of one `job` the newest takes the older's place. */
export function showMessage({ id, name, data }) {
  const { text: words, done, job } = data !== null && typeof data === "object" ? data : { text: data };
  const key = String(job ?? id);
  const list = $("toasts");
  const found = [...list.children].find((item) => item.dataset.key === key);
  const item = found ?? document.createElement("li");
  item.dataset.key = key;
  item.textContent = String(words ?? name ?? "").slice(0, 300);
  if (Number.isFinite(done)) {
    const bar = document.createElement("progress");
    Object.assign(bar, { max: 100, value: done });
    item.append(bar);
  }
  if (!found) list.append(item);
  while (list.childElementCount > TOASTS) list.firstElementChild.remove();
  clearTimeout(Number(item.dataset.timer));
  item.dataset.timer = setTimeout(() => item.remove(), TOAST_FOR);
}

/** Units of the attributes that aircraft send; any other attribute is shown as it is. */
const UNITS = { altitude: "ft", speed: "kt", climb: "ft/min" };

export function showEntity(entity, pose) {
  $("entity").hidden = entity === undefined;
  if (entity === undefined) return;
  const attributes = entity.attributes ?? {};
  $("entity-name").textContent = attributes.callsign || entity.id;
  $("entity-kind").textContent = [entity.kind, attributes.airline].filter(Boolean).join(" · ");
  const rows = [];
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "callsign" || name === "airline") continue;
    rows.push([capital(name), `${typeof value === "number" ? value.toLocaleString("en") : text(value)}${UNITS[name] ? ` ${UNITS[name]}` : ""}`]);
  }
  if (entity.heading !== null) rows.push(["Heading", `${Math.round(entity.heading)}°`]);
  rows.push(["Position", place(pose ?? entity)], ["Id", entity.id], ["Version", entity.version.toLocaleString("en")]);
  rows.push(["Changed", new Date(entity.changed_at).toLocaleTimeString("en-GB")]);
  if (entity.access && entity.access.rule !== "public") rows.push(["Visible to", entity.access.group || entity.access.owner]);
  const list = $("entity-fields");
  // rewriting all nodes ten times a second would make text impossible to select
  if (list.childElementCount !== rows.length * 2) list.replaceChildren(...rows.flatMap(() => [document.createElement("dt"), document.createElement("dd")]));
  rows.forEach(([name, value], index) => {
    put(list.children[index * 2], name);
    put(list.children[index * 2 + 1], value);
  });
}

const put = (node, value) => {
  if (node.textContent !== value) node.textContent = value;
};
const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
const place = ({ lat, lon }) =>
  `${Math.abs(lat).toFixed(3)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(3)}° ${lon < 0 ? "W" : "E"}`;

export function onCloseEntity(act) {
  $("entity-close").addEventListener("click", act);
}

export function onFind(act) {
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = $("find-text").value.trim();
    if (wanted) notice(act(wanted) ? null : `Nothing in view is called ${wanted}.`);
  });
}

/** Asks for a token; resolves when a person has given one. */
export function askToken({ refused = false } = {}) {
  const dialog = $("sign-in");
  $("sign-in-text").textContent = refused
    ? "The server refused that token: it has expired, or is for another audience. Paste a fresh one."
    : "Paste an access token of your identity provider. It is kept until this tab is closed.";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    $("sign-in-form").onsubmit = (event) => {
      event.preventDefault();
      const token = $("token").value.trim();
      if (!token) return;
      $("token").value = "";
      dialog.close();
      resolve(token);
    };
  });
}

/** `kinds` is a map of kind to whether it is shown. */
export function showKinds(kinds, act) {
  const names = [...kinds.keys()].sort();
  $("kinds").hidden = names.length < 2;
  const shown = [...$("kinds").querySelectorAll("input")].map((box) => box.value);
  if (shown.join() === names.join()) return;
  const legend = $("kinds").querySelector("legend");
  $("kinds").replaceChildren(legend, ...names.map((name) => choice(name, kinds.get(name), (on) => act(name, on)).label));
}

export function showFilters(filters, applied, { apply, remove }) {
  $("saved").replaceChildren(
    ...filters.map((saved) => {
      const item = document.createElement("li");
      const { label } = choice(saved.name, applied.has(saved.id), (on) => apply(saved.id, on));
      label.title = describe(saved);
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "×";
      button.setAttribute("aria-label", `Delete filter ${saved.name}`);
      button.addEventListener("click", () => remove(saved.id));
      item.append(label, button);
      return item;
    }),
  );
  $("applied").hidden = applied.size === 0;
  $("applied").textContent = `${applied.size} on`;
}

function choice(name, on, act) {
  const label = document.createElement("label");
  const box = document.createElement("input");
  const words = document.createElement("span");
  box.type = "checkbox";
  box.value = name;
  box.checked = on;
  box.addEventListener("change", () => act(box.checked));
  words.textContent = name;
  label.append(box, words);
  return { label, box };
}

/** `save` is given the filter that the form describes and may throw what the API answered. */
export function onNewFilter(save) {
  const form = $("filter-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { saved, problem } = compose(Object.fromEntries(new FormData(form)));
    const tell = (words) => {
      $("filter-problem").textContent = words ?? "";
      $("filter-problem").hidden = !words;
    };
    tell(problem);
    if (problem) return;
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await save(saved);
      form.reset();
    } catch (error) {
      tell(`Not saved: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
}

export function drawLegend() {
  const canvas = $("legend");
  const pen = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x += 1) {
    pen.fillStyle = color(step((x / canvas.width) * 45_000));
    pen.fillRect(x, 0, 1, canvas.height);
  }
}

export function showNoWebgl() {
  $("no-webgl").hidden = false;
  for (const part of document.querySelectorAll(".panel, .legend")) part.hidden = true;
}
