// What travels, what is told, and what may be asked for; types only.

/**
 * @typedef {object} Entity
 * @property {string} id
 * @property {string} kind
 * @property {number} lat
 * @property {number} lon
 * @property {number | null} heading
 * @property {Record<string, any>} attributes
 * @property {{ rule: string, owner: string, group: string }} access
 * @property {number} version rises with every change
 * @property {number} changed_at milliseconds since the epoch
 */

/**
 * What to look at, in degrees; `west > east` crosses the antimeridian.
 * @typedef {{ west: number, south: number, east: number, north: number, zoom?: number, filters?: string[], kinds?: string[] }} Viewport
 */

/** @typedef {{ type: "welcome", session: string, epoch: string, seq: number, recovered: boolean, heartbeat_seconds: number }} Welcome */
/** @typedef {{ type: "snapshot", epoch: string, seq: number, entities: Entity[], truncated?: boolean }} Snapshot */
/** @typedef {{ op: "upsert", entity: Entity } | { op: "remove", id: string, version: number }} Operation */
/** @typedef {{ type: "delta", epoch: string, seq: number, at: number, ops: Operation[] }} Delta */
/** @typedef {{ type: "resync", epoch: string, seq: number }} Resync */
/** @typedef {{ code: string, message: string, hint?: string }} Failure */
/** @typedef {{ channel: string, id: string, name: string, at: number, data: any, traceparent?: string, correlation_id?: string }} Message */
/** @typedef {{ channel: string, id: string, recovered: boolean }} Subscription */
/** @typedef {{ channel: string, count: number, members: string[], joined: string[], left: string[] }} Presence */

/**
 * What one frame changed. `snapshot`: it replaced everything; `at`: when the server sent a delta.
 * @typedef {{ upserts: Entity[], removes: string[], snapshot: boolean, truncated: boolean, at: number | null, operations: number }} Changes
 */

/** @typedef {"connecting" | "live" | "reconnecting" | "draining" | "signed-out" | "stopped"} State */
/** @typedef {"websocket" | "sse"} Transport */

/**
 * @typedef {object} Detail
 * @property {Transport} transport
 * @property {number} attempt attempts since the last welcome
 * @property {boolean} [recovered] live: the session goes on where it was
 * @property {number} [wait] milliseconds until the next attempt
 * @property {string} [why] why it is not live
 * @property {boolean} [refused] signed-out: a token was refused
 */

/**
 * @typedef {object} Events
 * @property {(state: State, detail: Detail) => void} state
 * @property {(changes: Changes) => void} change
 * @property {(message: Message) => void} message
 * @property {(subscriptions: Subscription[]) => void} subscribed
 * @property {(presence: Presence) => void} presence
 * @property {(failure: Failure) => void} failure a frame was refused and the connection goes on, or ends next
 * @property {() => void} resync changes were left out; a snapshot follows
 * @property {(viewport: Viewport) => void} looked a viewport was sent
 */

/**
 * A websocket, or what looks like one.
 * @typedef {object} Socket
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {(text: string) => void} send
 * @property {() => void} close
 */

/**
 * @typedef {object} Options
 * @property {string | URL} url where the service is: the origin, as in location.href
 * @property {(fresh: boolean) => string | null | Promise<string | null>} token gives a token, a new one when `fresh`; null: nobody is signed in
 * @property {"auto" | Transport} [transport] auto: server-sent events where websockets are blocked
 * @property {boolean} [inbox] hear what is sent to the user
 * @property {{ websocket: (url: string) => Socket, sse: (url: string, frames: string[]) => Socket }} [sockets]
 * @property {{ setTimeout: (act: () => void, wait: number) => any, clearTimeout: (id: any) => void }} [clock]
 * @property {() => number} [random]
 */

export {};
