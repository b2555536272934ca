// Which way in: websockets, or server-sent events where something between lets no websocket through. Pure.

/** @typedef {import("./types.js").Transport} Transport */

/** Websockets in a row that never came up until the stream is tried. */
const BLOCKED = 2;
const FIRST_PROBE = 60_000;
const LONGEST_PROBE = 900_000;

export class Route {
  /** @type {Transport} */
  transport;
  #auto;
  #blocked = 0;
  #probes = 0;

  /** @param {"auto" | Transport} wanted */
  constructor(wanted) {
    this.#auto = wanted === "auto";
    this.transport = wanted === "sse" ? "sse" : "websocket";
  }

  get websocket() {
    return this.transport === "websocket";
  }

  /** The server answered. */
  welcomed() {
    if (this.websocket) this.#blocked = this.#probes = 0;
  }

  /** An attempt ended without a word of the server: after a stream it is a websocket's turn again. */
  failed() {
    if (!this.#auto) return;
    this.#blocked = this.websocket ? this.#blocked + 1 : BLOCKED - 1;
    this.transport = this.#blocked >= BLOCKED ? "sse" : "websocket";
  }

  /** Milliseconds until a websocket is tried beside the stream; null: never. */
  get probeWait() {
    return this.#auto && !this.websocket ? Math.min(FIRST_PROBE * 2 ** this.#probes, LONGEST_PROBE) : null;
  }

  probed() {
    this.#probes = Math.min(this.#probes + 1, 10);
  }

  /** A websocket beside the stream came up. */
  moveOver() {
    this.transport = "websocket";
    this.#blocked = BLOCKED - 1;
  }
}
