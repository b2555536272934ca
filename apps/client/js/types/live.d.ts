export class Live extends Emitter {
    /** @param {Options} options */
    constructor({ url, token, transport, inbox, sockets, clock, random }: Options);
    /** @type {State} */
    state: State;
    store: Store;
    /** @type {Viewport | null} */
    viewport: Viewport | null;
    url: URL;
    channels: Channels;
    /** @returns {Transport} */
    get transport(): Transport;
    get entities(): Map<string, import("./types.js").Entity>;
    start(): void;
    stop(): void;
    /** Waiting for the next attempt? Then it is made now. */
    hurry(): void;
    /** @param {Viewport} viewport */
    look(viewport: Viewport): void;
    /** @param {string[]} channels @param {{ presence?: boolean }} [options] */
    subscribe(channels: string[], { presence }?: {
        presence?: boolean;
    }): void;
    /** @param {string[]} channels */
    unsubscribe(channels: string[]): void;
    #private;
}
export type Options = import("./types.js").Options;
export type Socket = import("./types.js").Socket;
export type State = import("./types.js").State;
export type Transport = import("./types.js").Transport;
export type Viewport = import("./types.js").Viewport;
import { Emitter } from "./emitter.js";
import { Store } from "./store.js";
import { Channels } from "./channels.js";
