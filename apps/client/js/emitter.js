// Who wants to know what.

/** @typedef {import("./types.js").Events} Events */

export class Emitter {
  /** @type {{ [K in keyof Events]?: Events[K][] }} */
  #listeners = {};

  /**
   * Tells `listener` of every event of that name; returns what takes it off again.
   * @template {keyof Events} K
   * @param {K} name @param {Events[K]} listener
   */
  on(name, listener) {
    const known = /** @type {Events[K][]} */ ((this.#listeners[name] ??= []));
    known.push(listener);
    return () => {
      this.#listeners[name] = /** @type {any} */ (this.#listeners[name]?.filter((one) => one !== listener));
    };
  }

  /** @template {keyof Events} K @param {K} name @param {Parameters<Events[K]>} what */
  tell(name, ...what) {
    for (const listener of [...(this.#listeners[name] ?? [])]) /** @type {any} */ (listener)(...what);
  }
}
