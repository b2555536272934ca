// What the server has told us, by entity: the newest version wins, whatever the order of arrival. Pure.

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").Changes} Changes */

const REMEMBERED = 5000; // removals kept, so that an older upsert can't bring an entity back; oldest go first

export class Store {
  /** @type {Map<string, Entity>} */
  entities = new Map();
  /** @type {Map<string, number>} */
  removed = new Map();
  /** @type {string | null} */
  epoch = null;
  seq = 0;

  get size() {
    return this.entities.size;
  }

  /** @param {string} id */
  get(id) {
    return this.entities.get(id);
  }

  /** What a resume goes on from; null before the first snapshot. */
  get position() {
    return this.epoch === null ? null : { epoch: this.epoch, seq: this.seq };
  }

  /**
   * Replaces everything. Within an epoch, what a delta brought newer than the snapshot stays.
   * @param {{ epoch: string, seq: number, entities: Entity[], truncated?: boolean }} frame
   * @returns {Changes}
   */
  snapshot({ epoch, seq, entities, truncated = false }) {
    const same = epoch === this.epoch;
    const before = this.entities;
    const changes = { ...NOTHING(), snapshot: true, truncated };
    this.entities = new Map();
    for (const fresh of entities) {
      const known = before.get(fresh.id);
      const gone = this.removed.get(fresh.id);
      if (same && known === undefined && gone !== undefined && gone > fresh.version) continue;
      const keep = known !== undefined && (known.version === fresh.version || (same && known.version > fresh.version));
      this.entities.set(fresh.id, keep ? known : fresh);
      if (!keep) changes.upserts.push(fresh);
    }
    for (const id of before.keys()) if (!this.entities.has(id)) changes.removes.push(id);
    this.removed.clear();
    this.epoch = epoch;
    this.seq = seq;
    return changes;
  }

  /**
   * Applies a delta; one of another epoch than the last snapshot's says nothing about what we hold.
   * @param {{ epoch: string, seq: number, at?: number, ops: import("./types.js").Operation[] }} frame
   * @returns {Changes}
   */
  delta({ epoch, seq, at = 0, ops }) {
    const changes = { ...NOTHING(), at, operations: ops.length };
    if (this.epoch === null) this.epoch = epoch;
    if (epoch !== this.epoch) return changes;
    for (const op of ops) {
      if (op.op === "upsert") this.#upsert(op.entity, changes);
      else if (op.op === "remove") this.#remove(op.id, op.version, changes);
    }
    this.seq = Math.max(this.seq, seq);
    return changes;
  }

  /** @param {Entity} entity @param {Changes} changes */
  #upsert(entity, changes) {
    const known = this.entities.get(entity.id);
    const gone = this.removed.get(entity.id);
    if (known !== undefined && known.version >= entity.version) return;
    if (gone !== undefined && gone > entity.version) return;
    this.removed.delete(entity.id);
    this.entities.set(entity.id, entity);
    changes.upserts.push(entity);
  }

  /** @param {string} id @param {number} version @param {Changes} changes */
  #remove(id, version, changes) {
    const known = this.entities.get(id);
    if (known !== undefined && known.version > version) return;
    if (this.entities.delete(id)) changes.removes.push(id);
    this.removed.delete(id);
    this.removed.set(id, version);
    const [oldest] = this.removed.size > REMEMBERED ? this.removed.keys() : [];
    if (oldest !== undefined) this.removed.delete(oldest);
  }
}

/** @returns {Changes} */
const NOTHING = () => ({ upserts: [], removes: [], snapshot: false, truncated: false, at: null, operations: 0 });
