/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Subscription} Subscription */
/** The channel of what is sent to the user. */
export const OWN: "user";
export class Channels {
    /** @param {boolean} inbox */
    constructor(inbox: boolean);
    /** Wanted, and whether with presence. @type {Map<string, boolean>} */
    wanted: Map<string, boolean>;
    /** The last id heard of each. @type {Map<string, string>} */
    heard: Map<string, string>;
    inbox: boolean;
    /** @param {string[]} channels @param {boolean} presence @returns {object[]} the frames that say so */
    add(channels: string[], presence: boolean): object[];
    /** @param {string[]} channels @returns {object[]} */
    remove(channels: string[]): object[];
    /** Everything that is wanted, for a new connection. @returns {object[]} */
    frames(): object[];
    /** @param {Subscription[]} subscriptions */
    subscribed(subscriptions: Subscription[]): void;
    /** The messages that were not heard before. @param {Message[]} messages */
    take(messages: Message[]): import("./types.js").Message[];
    #private;
}
export type Message = import("./types.js").Message;
export type Subscription = import("./types.js").Subscription;
