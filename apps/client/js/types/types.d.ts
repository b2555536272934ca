export type Entity = {
    id: string;
    kind: string;
    lat: number;
    lon: number;
    heading: number | null;
    attributes: Record<string, any>;
    access: {
        rule: string;
        owner: string;
        group: string;
    };
    /**
     * rises with every change
     */
    version: number;
    /**
     * milliseconds since the epoch
     */
    changed_at: number;
};
/**
 * What to look at, in degrees; `west > east` crosses the antimeridian.
 */
export type Viewport = {
    west: number;
    south: number;
    east: number;
    north: number;
    zoom?: number;
    filters?: string[];
    kinds?: string[];
};
export type Welcome = {
    type: "welcome";
    session: string;
    epoch: string;
    seq: number;
    recovered: boolean;
    heartbeat_seconds: number;
};
export type Snapshot = {
    type: "snapshot";
    epoch: string;
    seq: number;
    entities: Entity[];
    truncated?: boolean;
};
export type Operation = {
    op: "upsert";
    entity: Entity;
} | {
    op: "remove";
    id: string;
    version: number;
};
export type Delta = {
    type: "delta";
    epoch: string;
    seq: number;
    at: number;
    ops: Operation[];
};
export type Resync = {
    type: "resync";
    epoch: string;
    seq: number;
};
export type Failure = {
    code: string;
    message: string;
    hint?: string;
};
export type Message = {
    channel: string;
    id: string;
    name: string;
    at: number;
    data: any;
    traceparent?: string;
    correlation_id?: string;
};
export type Subscription = {
    channel: string;
    id: string;
    recovered: boolean;
};
export type Presence = {
    channel: string;
    count: number;
    members: string[];
    joined: string[];
    left: string[];
};
/**
 * What one frame changed. `snapshot`: it replaced everything; `at`: when the server sent a delta.
 */
export type Changes = {
    upserts: Entity[];
    removes: string[];
    snapshot: boolean;
    truncated: boolean;
    at: number | null;
    operations: number;
};
export type State = "connecting" | "live" | "reconnecting" | "draining" | "signed-out" | "stopped";
export type Transport = "websocket" | "sse";
export type Detail = {
    transport: Transport;
    /**
     * attempts since the last welcome
     */
    attempt: number;
    /**
     * live: the session goes on where it was
     */
    recovered?: boolean;
    /**
     * milliseconds until the next attempt
     */
    wait?: number;
    /**
     * why it is not live
     */
    why?: string;
    /**
     * signed-out: a token was refused
     */
    refused?: boolean;
};
export type Events = {
    state: (state: State, detail: Detail) => void;
    change: (changes: Changes) => void;
    message: (message: Message) => void;
    subscribed: (subscriptions: Subscription[]) => void;
    presence: (presence: Presence) => void;
    /**
     * a frame was refused and the connection goes on, or ends next
     */
    failure: (failure: Failure) => void;
    /**
     * changes were left out; a snapshot follows
     */
    resync: () => void;
    /**
     * a viewport was sent
     */
    looked: (viewport: Viewport) => void;
};
/**
 * A websocket, or what looks like one.
 */
export type Socket = {
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    send: (text: string) => void;
    close: () => void;
};
export type Options = {
    /**
     * where the service is: the origin, as in location.href
     */
    url: string | URL;
    /**
     * gives a token, a new one when `fresh`; null: nobody is signed in
     */
    token: (fresh: boolean) => string | null | Promise<string | null>;
    /**
     * auto: server-sent events where websockets are blocked
     */
    transport?: "auto" | Transport;
    /**
     * hear what is sent to the user
     */
    inbox?: boolean;
    sockets?: {
        websocket: (url: string) => Socket;
        sse: (url: string, frames: string[]) => Socket;
    };
    clock?: {
        setTimeout: (act: () => void, wait: number) => any;
        clearTimeout: (id: any) => void;
    };
    random?: () => number;
};
