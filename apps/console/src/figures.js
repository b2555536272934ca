// How the tier behind the map is doing: the newest figures of every process, for who may see them.
// `digest` is pure; the panel is made here, asks while it is looked at, and is not there for who has no right.

const EVERY = 3000;
const sum = (list) => list.reduce((total, value) => total + value, 0);
const most = (list) => (list.length ? Math.max(...list) : null);

/** Rows of name, value, unit and what it means; of several processes the sum, of times the worst. */
export function digest(processes) {
  const of = (service) => processes.filter((one) => one.service === service);
  const gateways = of("websocket");
  const processors = of("filter-processor");
  const total = (list, name) => sum(list.map((one) => one.figures[name] ?? 0));
  const worst = (list, name) => most(list.map((one) => one.figures[name]).filter((value) => value !== undefined));
  const time = (list, name, share) => most(list.map((one) => one.spreads[name]?.[share]).filter((value) => value !== undefined));
  return [
    ["Connections", total(gateways, "ActiveConnectionsPerTask"), "", "Open connections on all gateways"],
    ["In", total(gateways, "IncomingMessagesPerSecond"), "/s", "Frames of clients"],
    ["Out", total(gateways, "OutgoingMessagesPerSecond"), "/s", "Frames handed to sockets"],
    ["Updates", total(processors, "ProcessedUpdatesPerSecond"), "/s", "Changes matched by the processors"],
    ["Delivery p50", time(gateways, "EventToDelivery", "p50"), "ms", "From a change's commit to the socket"],
    ["Delivery p99", time(gateways, "EventToDelivery", "p99"), "ms", "From a change's commit to the socket"],
    ["Bus p99", time(gateways, "PubSubLag", "p99"), "ms", "From a processor's publish to a gateway"],
    ["Loop p99", time(processes, "LoopLag", "p99"), "ms", "How late an event loop runs what is due; the worst process"],
    ["Stream", worst(processors, "StreamLag"), "ms", "How far a processor is behind the stream of changes"],
    ["Outbox", worst(of("api"), "OutboxAge"), "s", "Age of the oldest change that has not left PostgreSQL"],
    ["Resync", total(gateways, "Resyncs"), "", "Sessions told to load everything again, in the last seconds"],
    ["Skipped", total(gateways, "SkippedPerSecond"), "/s", "Flushes left out because a client is still being sent to"],
  ];
}

export function format(value) {
  if (value === null) return "–";
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

/** Shows the figures at the end of `panel` as long as the server gives them. */
export function watchFigures(session, panel) {
  const box = document.createElement("details");
  box.id = "tier";
  box.hidden = true;
  box.open = true;
  const title = document.createElement("summary");
  title.textContent = "Tier";
  const count = document.createElement("small");
  title.append(count);
  const list = document.createElement("dl");
  box.append(title, list);
  panel.append(box);

  async function ask() {
    if (document.hidden || !box.open) return true;
    try {
      const { processes } = await session.request("GET", "/figures");
      show(processes);
    } catch (error) {
      box.hidden = true;
      if ([401, 403, 404].includes(error.status)) return false; // not ours to see: it is not asked again
    }
    return true;
  }

  function show(processes) {
    count.textContent = `${processes.length} ${processes.length === 1 ? "process" : "processes"}`;
    list.replaceChildren(
      ...digest(processes).map(([name, value, unit, meaning]) => {
        const row = document.createElement("div");
        const term = document.createElement("dt");
        const figure = document.createElement("dd");
        const after = document.createElement("small");
        term.textContent = name;
        term.title = meaning;
        figure.textContent = format(value);
        after.textContent = unit;
        figure.append(after);
        row.append(term, figure);
        return row;
      }),
    );
    box.hidden = false;
  }

  (async function again() {
    if (await ask()) setTimeout(again, EVERY);
  })();
}
