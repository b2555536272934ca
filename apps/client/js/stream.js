// Server-sent events over fetch with the face of a websocket: EventSource can neither POST nor say a status.

const CLOSE_BROKEN = 1006;

/** Comments are a sign of life: they arrive as messages without text. */
export class EventStream {
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;

  /** @param {string} url @param {string[]} frames what the client says, each a JSON text @param {typeof fetch} get */
  constructor(url, frames, get = globalThis.fetch.bind(globalThis)) {
    this.abort = new AbortController();
    this.#run(url, frames, get);
  }

  send() {
    throw new Error("a stream takes no frames: open another one");
  }

  close() {
    this.abort.abort();
  }

  /** @param {string} url @param {string[]} frames @param {typeof fetch} get */
  async #run(url, frames, get) {
    let end = { code: CLOSE_BROKEN, reason: "" };
    try {
      const answer = await get(url, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "text/event-stream" },
        body: `[${frames.join(",")}]`,
        cache: "no-store",
        signal: this.abort.signal,
      });
      const kind = answer.headers.get("content-type") ?? "";
      if (answer.ok && answer.body && kind.startsWith("text/event-stream")) {
        this.onopen?.({});
        end = (await this.#read(answer.body)) ?? end;
      } else {
        end = await refusal(answer, kind);
      }
    } catch {
      // the network's trouble, or our own close
    }
    this.onclose?.(end);
  }

  /** @param {ReadableStream<Uint8Array>} body */
  async #read(body) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      for (const event of parser.feed(decoder.decode(value, { stream: true }))) {
        if (event.type === "close") return /** @type {{ code: number, reason: string }} */ (JSON.parse(event.data));
        this.onmessage?.({ data: event.data });
      }
    }
  }
}

/**
 * What an HTTP error is as a close, so that both transports are answered alike.
 * @param {Response} answer @param {string} kind
 */
async function refusal(answer, kind) {
  const { status } = answer;
  // a proxy's words, or a service's that knows no such path: not the gateway's
  const { code } = kind.includes("problem+json") && status !== 404 ? await answer.json() : {};
  if (typeof code !== "string") return { code: CLOSE_BROKEN, reason: "" };
  const [exact, whole] = ["retry-after-ms", "retry-after"].map((name) => answer.headers.get(name));
  const wait = exact ? Number(exact) : whole ? Number(whole) * 1000 : Number.NaN;
  const reason = JSON.stringify({ code, ...(Number.isFinite(wait) && { retry_ms: wait }) });
  if (status === 503) return { code: code === "gateway.draining" ? 1012 : 1013, reason };
  return { code: status === 403 ? 4401 : 4000 + status, reason };
}

/** The wire format of the HTML standard (9.2, server-sent events), in whatever pieces it comes. */
export class EventParser {
  /** @type {string[]} pieces of a line that is not complete: a snapshot is one line of megabytes */
  #rest = [];
  #type = "";
  /** @type {string[]} */
  #data = [];

  /** @param {string} text @returns {{ type: string, data: string }[]} */
  feed(text) {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    if (lines.length) {
      lines[0] = this.#rest.join("") + lines[0];
      this.#rest = [];
    }
    this.#rest.push(rest);
    const events = [];
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line.replace(/\r$/, "")) ?? [];
      if (line.startsWith(":")) events.push({ type: "comment", data: "" });
      else if (name === "event") this.#type = value;
      else if (name === "data") this.#data.push(value);
      else if (name === "" && this.#data.length) {
        events.push({ type: this.#type || "message", data: this.#data.join("\n") });
        this.#type = "";
        this.#data = [];
      }
    }
    return events;
  }
}
