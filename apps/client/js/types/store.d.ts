export class Store {
    /** @type {Map<string, Entity>} */
    entities: Map<string, Entity>;
    /** @type {Map<string, number>} */
    removed: Map<string, number>;
    /** @type {string | null} */
    epoch: string | null;
    seq: number;
    get size(): number;
    /** @param {string} id */
    get(id: string): import("./types.js").Entity | undefined;
    /** What a resume goes on from; null before the first snapshot. */
    get position(): {
        epoch: string;
        seq: number;
    } | null;
    /**
     * Replaces everything. Within an epoch, what a delta brought newer than the snapshot stays.
     * @param {{ epoch: string, seq: number, entities: Entity[], truncated?: boolean }} frame
     * @returns {Changes}
     */
    snapshot({ epoch, seq, entities, truncated }: {
        epoch: string;
        seq: number;
        entities: Entity[];
        truncated?: boolean;
    }): Changes;
    /**
     * Applies a delta; one of another epoch than the last snapshot's says nothing about what we hold.
     * @param {{ epoch: string, seq: number, at?: number, ops: import("./types.js").Operation[] }} frame
     * @returns {Changes}
     */
    delta({ epoch, seq, at, ops }: {
        epoch: string;
        seq: number;
        at?: number;
        ops: import("./types.js").Operation[];
    }): Changes;
    #private;
}
export type Entity = import("./types.js").Entity;
export type Changes = import("./types.js").Changes;
