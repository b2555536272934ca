// One websocket connection that is kept up: identify, resume, heartbeat, and back again after a drop.
// Knows no DOM; what it needs of the browser is handed in, so that it runs in a plain test.
import { backoff } from "./stats.js";

export const CLOSE = { RESTART: 1012, TRY_LATER: 1013, UNAUTHENTICATED: 4401 };
const WELCOME_WITHIN = 10_000;
const DRAIN_LONGEST = 30_000;

/**
 * `token(fresh)` gives the bearer token, or null when nobody is signed in. `on` is told:
 * state(name, detail), snapshot(frame), delta(frame), failure(frame) for an error of the server.
 * States: connecting, live, reconnecting, draining, signed-out.
 */
export class Client {
  constructor({ url, token, on, position = () => null, Socket = globalThis.WebSocket, clock = globalThis, random = Math.random }) {
    this.url = url;
    this.token = token;
    this.on = on;
    this.position = position; // what to resume after: {epoch, seq} of the store
    this.Socket = Socket;
    this.clock = clock;
    this.random = random;
    this.state = "signed-out";
    this.socket = null;
    this.session = null;
    this.viewport = null;
    this.sent = null; // the viewport that the server knows, as text
    this.attempt = 0;
    this.refused = 0;
    this.heartbeat = 25;
    this.stopped = true;
  }

  start() {
    this.stopped = false;
    this.attempt = 0;
    this.refused = 0;
    this.#open("connecting");
  }

  stop() {
    this.stopped = true;
    this.#drop();
    this.#become("signed-out", {});
  }

  /** Waiting for the next attempt? Then it is made now. */
  hurry() {
    if (!this.stopped && this.socket === null && this.retry !== undefined) this.#open("reconnecting");
  }

  look(viewport) {
    this.viewport = viewport;
    if (this.state === "live") this.#subscribe();
  }

  async #open(state) {
    this.#drop();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.#become(state, { attempt: this.attempt });
    let token;
    try {
      token = await this.token(this.refused > 0);
    } catch (error) {
      if (turn === this.turn && !this.stopped) this.#again(`no token: ${error.message}`);
      return;
    }
    if (turn !== this.turn || this.stopped) return;
    if (!token) {
      this.stopped = true;
      this.#become("signed-out", { refused: this.refused > 0 });
      return;
    }
    const socket = new this.Socket(this.url);
    this.socket = socket;
    socket.onopen = () => this.#identify(socket, token);
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(socket, event);
    this.#expect(socket, WELCOME_WITHIN, "no welcome within 10 s");
  }

  #identify(socket, token) {
    const frame = { v: 1, type: "identify", token };
    const last = this.position();
    if (this.session !== null && last !== null) {
      Object.assign(frame, { since: last.seq, epoch: last.epoch, session: this.session });
    }
    socket.send(JSON.stringify(frame));
  }

  #receive(socket, text) {
    if (socket !== this.socket) return;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      this.on.failure?.({ code: "frame.malformed", message: "the server sent a frame that is no JSON" });
      return;
    }
    if (this.state === "live") this.#expect(socket, this.#silence(), "the server has gone silent");
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(socket, frame);
      case "snapshot":
        return this.on.snapshot(frame, text.length);
      case "delta":
        return this.on.delta(frame, text.length);
      case "ping":
        return socket.send('{"v":1,"type":"pong"}');
      case "error":
        return this.on.failure?.(frame);
      default:
        return undefined; // resync says only that a snapshot comes; newer servers may say more than we know
    }
  }

  #welcomed(socket, frame) {
    this.session = frame.session;
    this.heartbeat = frame.heartbeat_seconds;
    this.attempt = 0;
    this.refused = 0;
    this.#expect(socket, this.#silence(), "the server has gone silent");
    this.#become("live", { recovered: frame.recovered, epoch: frame.epoch });
    // a recovered session still has the viewport that it had; it is sent only if the map has moved since
    if (!frame.recovered) this.sent = null;
    this.#subscribe();
  }

  #subscribe() {
    if (this.viewport === null) return;
    const text = JSON.stringify({ v: 1, type: "viewport", ...this.viewport });
    if (text === this.sent) return;
    this.sent = text;
    this.socket.send(text);
    this.on.subscribed?.(this.viewport);
  }

  #closed(socket, { code, reason }) {
    if (socket !== this.socket) return;
    this.#drop();
    if (this.stopped) return;
    if (code === CLOSE.UNAUTHENTICATED) {
      this.refused += 1;
      // once with a fresh token; if that is refused too, asking again would not help
      if (this.refused > 1) {
        this.stopped = true;
        this.#become("signed-out", { refused: true });
        return;
      }
      this.#wait(0, "reconnecting", "the token was refused");
    } else if (code === CLOSE.RESTART) {
      const wait = retryAfter(reason) ?? backoff(this.attempt, this.random);
      this.attempt += 1;
      this.#wait(wait, "draining", "the server restarts");
    } else {
      this.#again(code === 1006 ? "the connection broke" : `closed by the server (${code})`);
    }
  }

  #again(why) {
    const wait = backoff(this.attempt, this.random);
    this.attempt += 1;
    this.#wait(wait, "reconnecting", why);
  }

  #wait(milliseconds, state, why) {
    this.#become(state, { wait: milliseconds, why, attempt: this.attempt });
    this.retry = this.clock.setTimeout(() => {
      this.retry = undefined;
      this.#open("reconnecting");
    }, milliseconds);
  }

  #silence() {
    return (this.heartbeat * 2 + 5) * 1000;
  }

  #expect(socket, milliseconds, why) {
    this.clock.clearTimeout(this.watch);
    this.watch = this.clock.setTimeout(() => {
      if (socket !== this.socket) return;
      this.#drop();
      if (!this.stopped) this.#again(why);
    }, milliseconds);
  }

  #drop() {
    this.clock.clearTimeout(this.watch);
    this.clock.clearTimeout(this.retry);
    this.retry = undefined;
    const socket = this.socket;
    this.socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #become(state, detail) {
    this.state = state;
    this.on.state(state, detail);
  }
}

function retryAfter(reason) {
  try {
    const wait = JSON.parse(reason).retry_ms;
    return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), DRAIN_LONGEST) : null;
  } catch {
    return null;
  }
}
