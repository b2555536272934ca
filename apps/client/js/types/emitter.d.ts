/** @typedef {import("./types.js").Events} Events */
export class Emitter {
    /**
     * Tells `listener` of every event of that name; returns what takes it off again.
     * @template {keyof Events} K
     * @param {K} name @param {Events[K]} listener
     */
    on<K extends keyof Events>(name: K, listener: Events[K]): () => void;
    /** @template {keyof Events} K @param {K} name @param {Parameters<Events[K]>} what */
    tell<K extends keyof Events>(name: K, ...what: Parameters<Events[K]>): void;
    #private;
}
export type Events = import("./types.js").Events;
