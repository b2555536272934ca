/** Comments are a sign of life: they arrive as messages without text. */
export class EventStream {
    /** @param {string} url @param {string[]} frames what the client says, each a JSON text @param {typeof fetch} get */
    constructor(url: string, frames: string[], get?: typeof fetch);
    /** @type {((event: any) => void) | null} */
    onopen: ((event: any) => void) | null;
    /** @type {((event: any) => void) | null} */
    onmessage: ((event: any) => void) | null;
    /** @type {((event: any) => void) | null} */
    onclose: ((event: any) => void) | null;
    abort: AbortController;
    send(): void;
    close(): void;
    #private;
}
/** The wire format of the HTML standard (9.2, server-sent events), in whatever pieces it comes. */
export class EventParser {
    /** @param {string} text @returns {{ type: string, data: string }[]} */
    feed(text: string): {
        type: string;
        data: string;
    }[];
    #private;
}
