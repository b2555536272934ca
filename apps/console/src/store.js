// What the server has told us, by entity: the newest version wins, whatever the order of arrival. Pure.

const REMEMBERED = 5000; // removals kept, so that an older upsert can't bring an entity back; oldest go first

export class Store {
  constructor() {
    this.entities = new Map();
    this.removed = new Map();
    this.epoch = null;
    this.seq = 0;
  }

  get size() {
    return this.entities.size;
  }

  get(id) {
    return this.entities.get(id);
  }

  /** Replaces everything. Within an epoch, what a delta brought newer than the snapshot stays. */
  snapshot({ epoch, seq, entities }) {
    const same = epoch === this.epoch;
    const before = this.entities;
    const changes = { upserts: [], removes: [] };
    this.entities = new Map();
    for (const fresh of entities) {
      const known = before.get(fresh.id);
      const gone = this.removed.get(fresh.id);
      if (same && known === undefined && gone !== undefined && gone > fresh.version) continue;
      const entity = same && known !== undefined && known.version > fresh.version ? known : fresh;
      this.entities.set(entity.id, entity);
      if (entity !== known) changes.upserts.push(entity);
    }
    for (const id of before.keys()) if (!this.entities.has(id)) changes.removes.push(id);
    this.removed.clear();
    this.epoch = epoch;
    this.seq = seq;
    return changes;
  }

  /** Applies a delta; one of another epoch than the last snapshot's says nothing about what we hold. */
  delta({ epoch, seq, ops }) {
    const changes = { upserts: [], removes: [] };
    if (this.epoch === null) this.epoch = epoch;
    if (epoch !== this.epoch) return changes;
    for (const op of ops) {
      if (op.op === "upsert") this.#upsert(op.entity, changes);
      else if (op.op === "remove") this.#remove(op.id, op.version, changes);
    }
    this.seq = Math.max(this.seq, seq);
    return changes;
  }

  #upsert(entity, changes) {
    const known = this.entities.get(entity.id);
    const gone = this.removed.get(entity.id);
    if (known !== undefined && known.version >= entity.version) return;
    if (gone !== undefined && gone > entity.version) return;
    this.removed.delete(entity.id);
    this.entities.set(entity.id, entity);
    changes.upserts.push(entity);
  }

  #remove(id, version, changes) {
    const known = this.entities.get(id);
    if (known !== undefined && known.version > version) return;
    if (this.entities.delete(id)) changes.removes.push(id);
    this.removed.delete(id);
    this.removed.set(id, version);
    if (this.removed.size > REMEMBERED) this.removed.delete(this.removed.keys().next().value);
  }
}
