/**
 * A hash table from pairs of symbols to the symbol that they merge into and the rank of that merge. Open addressing over
 * typed arrays: with 280,000 merges it is several times smaller and faster than a Map.
 */
export class PairTable {
  readonly #mask: number;
  /** Left symbol of each slot; -1 in free ones. */
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  readonly #merged: Int32Array;
  readonly #ranks: Int32Array;

  /** @param capacity The most pairs that will be added. */
  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2 * capacity, 16)));
    this.#mask = slots - 1;
    this.#lefts = new Int32Array(slots).fill(-1);
    this.#rights = new Int32Array(slots);
    this.#merged = new Int32Array(slots);
    this.#ranks = new Int32Array(slots);
  }

  /** Adds a pair. If it is there already, the earlier and so lower rank stays. */
  add(left: number, right: number, merged: number, rank: number): void {
    const slot = this.#probe(left, right);
    if (this.#lefts[slot] !== -1) return;
    this.#lefts[slot] = left;
    this.#rights[slot] = right;
    this.#merged[slot] = merged;
    this.#ranks[slot] = rank;
  }

  /** Returns the slot of a pair for `rank` and `merged`, or -1 if the pair does not merge. */
  find(left: number, right: number): number {
    const slot = this.#probe(left, right);
    return this.#lefts[slot] === -1 ? -1 : slot;
  }

  rank(slot: number): number {
    return this.#ranks[slot] as number;
  }

  merged(slot: number): number {
    return this.#merged[slot] as number;
  }

  /** All pairs, in order of rank: left, right, merged, and again. */
  triples(): Int32Array {
    const slots = [...this.#lefts.keys()].filter((slot) => this.#lefts[slot] !== -1);
    slots.sort((a, b) => this.rank(a) - this.rank(b));
    const triples = new Int32Array(slots.length * 3);
    slots.forEach((slot, i) => {
      triples.set([this.#lefts[slot] as number, this.#rights[slot] as number, this.merged(slot)], i * 3);
    });
    return triples;
  }

  #probe(left: number, right: number): number {
    // Odd multipliers near 2^32 / golden ratio and 2^32 / sqrt(2); the shift brings the well-mixed high bits down.
    const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0xb504f335);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    while (this.#lefts[slot] !== -1 && (this.#lefts[slot] !== left || this.#rights[slot] !== right)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}
