// One connection that is kept up: identify, resume, heartbeat, back again after a drop, and another way in where
// websockets are blocked. Knows no DOM; what it needs of the machine is handed in, so that it runs in a plain test.
import { askedWait, backoff } from "./backoff.js";
import { Channels, OWN } from "./channels.js";
import { Emitter } from "./emitter.js";
import { Route } from "./route.js";
import { Store } from "./store.js";
import { EventStream } from "./stream.js";

/** @typedef {import("./types.js").Options} Options */
/** @typedef {import("./types.js").Socket} Socket */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Transport} Transport */
/** @typedef {import("./types.js").Viewport} Viewport */

const CLOSE = { BROKEN: 1006, RESTART: 1012, UNAUTHENTICATED: 4401 };
const WELCOME_WITHIN = 10_000;
/** A stream is opened anew for another viewport: not for each step of a moving map. */
const SETTLE = 300;

export class Live extends Emitter {
  /** @type {State} */
  state = "stopped";
  store = new Store();
  /** @type {Viewport | null} */
  viewport = null;
  /** @type {Socket | null} */
  #socket = null;
  /** @type {string | null} */
  #session = null;
  /** The viewport that was sent last on this connection, as text. @type {string | null} */
  #sent = null;
  /** The client's frames are on their way; and something has changed since that a stream can't be told. */
  #identified = false;
  #outdated = false;
  #turn = 0;
  #attempt = 0;
  #refused = 0;
  #heartbeat = 25;
  #welcomed = false;
  /** @type {Transport | null} */
  #told = null;
  /** @type {any} */
  #retry;
  /** @type {any} */
  #watch;
  /** @type {any} */
  #settle;
  /** @type {any} */
  #probing;
  /** @type {Socket | null} */
  #probe = null;

  /** @param {Options} options */
  constructor({ url, token, transport = "auto", inbox = false, sockets = SOCKETS, clock = CLOCK, random = Math.random }) {
    super();
    this.url = new URL(url);
    this.#route = new Route(transport);
    this.channels = new Channels(inbox);
    this.#token = token;
    this.#sockets = sockets;
    this.#clock = clock;
    this.#random = random;
  }

  #route;
  #token;
  #sockets;
  #clock;
  #random;

  /** @returns {Transport} */
  get transport() {
    return this.#route.transport;
  }

  get entities() {
    return this.store.entities;
  }

  start() {
    this.#attempt = this.#refused = 0;
    this.state = "connecting";
    this.#open("connecting");
  }

  stop() {
    this.#drop();
    this.#become("stopped");
  }

  /** Waiting for the next attempt? Then it is made now. */
  hurry() {
    if (this.#retry !== undefined) this.#open("reconnecting");
  }

  /** @param {Viewport} viewport */
  look(viewport) {
    this.viewport = viewport;
    const text = this.#viewportText();
    if (!this.#identified || text === null || text === this.#sent) return;
    this.#say([text]);
    if (!this.#route.websocket) return;
    this.#sent = text;
    this.tell("looked", viewport);
  }

  /** @param {string[]} channels @param {{ presence?: boolean }} [options] */
  subscribe(channels, { presence = false } = {}) {
    this.#say(this.channels.add(channels, presence).map((frame) => JSON.stringify(frame)));
  }

  /** @param {string[]} channels */
  unsubscribe(channels) {
    this.#say(this.channels.remove(channels).map((frame) => JSON.stringify(frame)));
  }

  // --- opening ---------------------------------------------------------------------------------------------

  /** @param {State | null} state null: another stream takes the place of the one that is live */
  async #open(state) {
    this.#drop(state === null);
    const turn = this.#turn;
    if (state !== null) this.#become(state);
    const token = await this.#askToken(turn, this.#refused > 0);
    if (token === null) return;
    if (this.#route.websocket) {
      const socket = this.#sockets.websocket(this.#address("/ws", true));
      socket.onopen = () => this.#identify(socket, token);
      this.#attach(socket);
    } else {
      this.#attach(this.#sockets.sse(this.#address("/events"), this.#frames(token)));
    }
  }

  /** @param {number} turn @param {boolean} fresh @returns {Promise<string | null>} */
  async #askToken(turn, fresh) {
    let token;
    try {
      token = await this.#token(fresh);
    } catch (error) {
      if (turn !== this.#turn) return null;
      this.#drop();
      this.#again(`no token: ${error instanceof Error ? error.message : error}`);
      return null;
    }
    if (turn !== this.#turn) return null;
    if (!token) this.#signOut();
    return token || null;
  }

  /** @param {Socket} socket */
  #attach(socket) {
    this.#socket = socket;
    this.#welcomed = false;
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(socket, event);
    this.#expect(socket, WELCOME_WITHIN, "no welcome within 10 s");
  }

  /** @param {string} path */
  #address(path, socket = false) {
    const address = new URL(path, this.url);
    if (socket) address.protocol = address.protocol.replace("http", "ws");
    return address.href;
  }

  /**
   * Who we are, where we were, and all that we want: the server needs no second message, and what it has still
   * in force after a resume costs it nothing.
   * @param {string} token
   */
  #frames(token) {
    const inbox = this.channels.inbox ? { inbox: this.channels.heard.get(OWN) ?? "" } : {};
    const last = this.#session === null ? null : this.store.position;
    const resume = last === null ? {} : { since: last.seq, epoch: last.epoch, session: this.#session };
    const identify = { v: 1, type: "identify", token, ...resume, ...inbox };
    this.#sent = this.#viewportText();
    this.#identified = true;
    this.#outdated = false;
    if (this.viewport !== null) this.tell("looked", this.viewport);
    const frames = [identify, ...this.channels.frames()].map((frame) => JSON.stringify(frame));
    return this.#sent === null ? frames : [...frames, this.#sent];
  }

  /** @param {Socket} socket @param {string} token */
  #identify(socket, token) {
    if (socket === this.#socket) for (const frame of this.#frames(token)) socket.send(frame);
  }

  // --- what the server says --------------------------------------------------------------------------------

  /** @param {Socket} socket @param {string} text */
  #receive(socket, text) {
    if (socket !== this.#socket) return;
    if (this.#welcomed) this.#expect(socket, this.#silence(), "the server has gone silent");
    if (text === "") return; // a heartbeat of a stream
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      this.tell("failure", { code: "frame.malformed", message: "the server sent a frame that is no JSON" });
      return;
    }
    switch (frame.type) {
      case "welcome":
        this.#welcome(socket, frame);
        break;
      case "snapshot":
        this.tell("change", this.store.snapshot(frame));
        break;
      case "delta":
        this.tell("change", this.store.delta(frame));
        break;
      case "resync":
        this.tell("resync");
        break;
      case "messages":
        for (const message of this.channels.take(frame.messages)) this.tell("message", message);
        break;
      case "subscribed":
        this.channels.subscribed(frame.channels);
        this.tell("subscribed", frame.channels);
        break;
      case "presence":
        this.tell("presence", frame);
        break;
      case "ping":
        socket.send('{"v":1,"type":"pong"}');
        break;
      case "error":
        this.tell("failure", frame);
        break;
      default: // newer servers may say more than we know
    }
  }

  /** @param {Socket} socket @param {import("./types.js").Welcome} frame */
  #welcome(socket, frame) {
    this.#session = frame.session;
    this.#heartbeat = frame.heartbeat_seconds;
    this.#attempt = this.#refused = 0;
    this.#welcomed = true;
    this.#expect(socket, this.#silence(), "the server has gone silent");
    this.#route.welcomed();
    // another stream for another viewport is no news; another transport is
    if (this.state !== "live" || this.#told !== this.transport) this.#become("live", { recovered: frame.recovered });
    this.#probeLater();
    if (this.#outdated) this.#reopenSoon();
  }

  /** @param {string[]} frames */
  #say(frames) {
    if (!this.#identified) return; // all that is wanted goes with the identification
    if (this.#route.websocket) for (const frame of frames) this.#socket?.send(frame);
    else {
      this.#outdated = true;
      if (this.#welcomed) this.#reopenSoon();
    }
  }

  #viewportText() {
    return this.viewport === null ? null : JSON.stringify({ v: 1, type: "viewport", ...this.viewport });
  }

  #reopenSoon() {
    this.#clock.clearTimeout(this.#settle);
    this.#settle = this.#clock.setTimeout(() => this.#open(null), SETTLE);
  }

  // --- the end, and what follows -----------------------------------------------------------------------------

  /** @param {Socket} socket @param {{ code: number, reason: string }} end */
  #closed(socket, { code, reason }) {
    if (socket !== this.#socket) return;
    this.#drop();
    const asked = askedWait(reason);
    if (code === CLOSE.UNAUTHENTICATED) {
      this.#refused += 1;
      // once with a fresh token; if that is refused too, asking again would not help
      if (this.#refused > 1) this.#signOut();
      else this.#wait(0, "reconnecting", "the token was refused");
    } else if (code === CLOSE.RESTART) {
      this.#again("the server restarts", asked, "draining");
    } else if (code === CLOSE.BROKEN) {
      this.#broke("the connection broke");
    } else {
      this.#again(`closed by the server (${code})`, asked);
    }
  }

  /** @param {string} why */
  #broke(why) {
    if (!this.#welcomed) this.#route.failed();
    this.#again(why);
  }

  /** @param {string} why @param {number | null} [asked] @param {State} [state] */
  #again(why, asked = null, state = "reconnecting") {
    const wait = asked ?? backoff(this.#attempt, this.#random);
    this.#attempt += 1;
    this.#wait(wait, state, why);
  }

  /** @param {number} milliseconds @param {State} state @param {string} why */
  #wait(milliseconds, state, why) {
    this.#become(state, { wait: milliseconds, why });
    this.#retry = this.#clock.setTimeout(() => this.#open("reconnecting"), milliseconds);
  }

  #signOut() {
    this.#drop();
    this.#become("signed-out", { refused: this.#refused > 0 });
  }

  #silence() {
    return (this.#heartbeat * 2 + 5) * 1000;
  }

  /** @param {Socket} socket @param {number} milliseconds @param {string} why */
  #expect(socket, milliseconds, why) {
    this.#clock.clearTimeout(this.#watch);
    this.#watch = this.#clock.setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#drop();
      this.#broke(why);
    }, milliseconds);
  }

  #drop(keepProbe = false) {
    this.#turn += 1;
    for (const timer of [this.#watch, this.#retry, this.#settle]) this.#clock.clearTimeout(timer);
    this.#retry = undefined;
    this.#identified = false;
    hangUp(this.#socket);
    this.#socket = null;
    if (!keepProbe) this.#endProbe();
  }

  // --- a websocket beside the stream -------------------------------------------------------------------------

  #probeLater() {
    const wait = this.#route.probeWait;
    if (wait === null || this.#probing !== undefined) return;
    this.#probing = this.#clock.setTimeout(() => this.#tryWebsocket(), wait);
  }

  #endProbe() {
    this.#clock.clearTimeout(this.#probing);
    hangUp(this.#probe);
    this.#probing = undefined;
    this.#probe = null;
  }

  #tryWebsocket() {
    this.#route.probed();
    const probe = (this.#probe = this.#sockets.websocket(this.#address("/ws", true)));
    const over = () => {
      this.#endProbe();
      this.#probeLater();
    };
    this.#probing = this.#clock.setTimeout(over, WELCOME_WITHIN);
    probe.onclose = over;
    probe.onopen = async () => {
      // it gets through: the session moves over
      this.#probe = null;
      this.#drop();
      this.#route.moveOver();
      this.#attach(probe);
      const token = await this.#askToken(this.#turn, false);
      if (token !== null) this.#identify(probe, token);
    };
  }

  // --- telling -----------------------------------------------------------------------------------------------

  /** @param {State} state @param {Partial<import("./types.js").Detail>} [detail] */
  #become(state, detail = {}) {
    this.state = state;
    this.#told = this.transport;
    this.tell("state", state, { transport: this.transport, attempt: this.#attempt, ...detail });
  }
}

/** @param {Socket | null} socket */
function hangUp(socket) {
  if (socket === null) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
}

/** Where a page's policy forbids websockets, or there are none, making one throws: it is one that never opens. */
function forbidden() {
  /** @type {Socket} */
  const socket = { onopen: null, onmessage: null, onclose: null, send() {}, close() {} };
  setTimeout(() => socket.onclose?.({ code: CLOSE.BROKEN, reason: "" }));
  return socket;
}

/** @type {NonNullable<Options["sockets"]>} */
const SOCKETS = {
  websocket: (url) => {
    try {
      return new WebSocket(url);
    } catch {
      return forbidden();
    }
  },
  sse: (url, frames) => new EventStream(url, frames),
};

/** @type {NonNullable<Options["clock"]>} */
const CLOCK = {
  setTimeout: (act, wait) => setTimeout(act, wait),
  clearTimeout: (id) => clearTimeout(id),
};
