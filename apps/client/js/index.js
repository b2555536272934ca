// The client of the gateway: see docs/guides/realtime-clients.md.
export { Live } from "./live.js";
export { Store } from "./store.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").Viewport} Viewport */
/** @typedef {import("./types.js").Changes} Changes */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Detail} Detail */
/** @typedef {import("./types.js").Events} Events */
/** @typedef {import("./types.js").Options} Options */
