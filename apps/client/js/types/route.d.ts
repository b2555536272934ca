export class Route {
    /** @param {"auto" | Transport} wanted */
    constructor(wanted: "auto" | Transport);
    /** @type {Transport} */
    transport: Transport;
    get websocket(): boolean;
    /** The server answered. */
    welcomed(): void;
    /** An attempt ended without a word of the server: after a stream it is a websocket's turn again. */
    failed(): void;
    /** Milliseconds until a websocket is tried beside the stream; null: never. */
    get probeWait(): number | null;
    probed(): void;
    /** A websocket beside the stream came up. */
    moveOver(): void;
    #private;
}
export type Transport = import("./types.js").Transport;
