// Which channels are wanted and how far each was heard: after a reconnect they go on from there. Pure.

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Subscription} Subscription */

/** The channel of what is sent to the user. */
export const OWN = "user";
/** Names in one frame. */
const MOST = 128;

export class Channels {
  /** Wanted, and whether with presence. @type {Map<string, boolean>} */
  wanted = new Map();
  /** The last id heard of each. @type {Map<string, string>} */
  heard = new Map();

  /** @param {boolean} inbox */
  constructor(inbox) {
    this.inbox = inbox;
  }

  /** @param {string[]} channels @param {boolean} presence @returns {object[]} the frames that say so */
  add(channels, presence) {
    for (const channel of channels) this.wanted.set(channel, presence);
    return this.#frame(channels, presence);
  }

  /** @param {string[]} channels @returns {object[]} */
  remove(channels) {
    for (const channel of channels) {
      this.wanted.delete(channel);
      this.heard.delete(channel);
    }
    return parts(channels).map((channels) => ({ v: 1, type: "unsubscribe", channels }));
  }

  /** Everything that is wanted, for a new connection. @returns {object[]} */
  frames() {
    const named = [...this.wanted];
    return [false, true].flatMap((presence) =>
      this.#frame(named.filter(([, with_]) => with_ === presence).map(([channel]) => channel), presence),
    );
  }

  /** @param {Subscription[]} subscriptions */
  subscribed(subscriptions) {
    for (const { channel, id, recovered } of subscriptions) {
      // something is lost, perhaps the stream itself with its ids: they begin here again
      if (!recovered) this.heard.delete(channel);
      this.#heard(channel, id);
    }
  }

  /** The messages that were not heard before. @param {Message[]} messages */
  take(messages) {
    return messages.filter(({ channel, id }) => this.#heard(channel, id));
  }

  /** @param {string} channel @param {string} id */
  #heard(channel, id) {
    if (channel === OWN ? !this.inbox : !this.wanted.has(channel)) return false;
    const last = this.heard.get(channel);
    if (last !== undefined && !later(id, last)) return false;
    this.heard.set(channel, id);
    return true;
  }

  /** @param {string[]} channels @param {boolean} presence @returns {object[]} */
  #frame(channels, presence) {
    return parts(channels).map((channels) => {
      /** @type {Record<string, string>} */
      const since = {};
      for (const channel of channels) {
        const last = this.heard.get(channel);
        if (last !== undefined) since[channel] = last;
      }
      return { v: 1, type: "subscribe", channels, ...(Object.keys(since).length && { since }), ...(presence && { presence }) };
    });
  }
}

/** As many lists as it takes: the gateway ends a connection whose frame is too long. @param {string[]} channels */
function parts(channels) {
  const found = [];
  for (let start = 0; start < channels.length; start += MOST) found.push(channels.slice(start, start + MOST));
  return found;
}

/** Ids are two numbers, `milliseconds-count`. @param {string} one @param {string} other */
function later(one, other) {
  const [milliseconds = 0, count = 0] = one.split("-").map(Number);
  const [before = 0, counted = 0] = other.split("-").map(Number);
  return milliseconds > before || (milliseconds === before && count > counted);
}
