/**
 * A priority queue of candidate merges of neighbouring symbols: the lowest order first, of equals the leftmost. It is a
 * binary heap over typed arrays, so that a megabyte of text makes no objects.
 */
export class MergeQueue {
  #orders: Float64Array;
  #lefts: Int32Array;
  #tags: Int32Array;
  #size = 0;
  /** Left symbol of the candidate that `pop` took last. */
  left = 0;
  /** What `push` was given with it. */
  tag = 0;

  /** @param capacity Candidates to make room for at first. */
  constructor(capacity: number) {
    const length = Math.max(capacity, 16);
    this.#orders = new Float64Array(length);
    this.#lefts = new Int32Array(length);
    this.#tags = new Int32Array(length);
  }

  /** Adds a candidate. `tag` lets the caller see, when it comes out, whether the symbols are still what they were. */
  push(order: number, left: number, tag: number): void {
    if (this.#size === this.#orders.length) this.#grow();
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(order, left, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, order, left, tag);
  }

  /** Takes the first candidate out into `left` and `tag`. Returns false if there is none. */
  pop(): boolean {
    if (this.#size === 0) return false;
    this.left = this.#lefts[0] as number;
    this.tag = this.#tags[0] as number;
    const last = --this.#size;
    const order = this.#orders[last] as number;
    const left = this.#lefts[last] as number;
    let at = 0;
    for (let child = 1; child < last; child = 2 * at + 1) {
      const right = child + 1;
      if (
        right < last &&
        this.#isBefore(this.#orders[right] as number, this.#lefts[right] as number, child)
      ) {
        child = right;
      }
      if (this.#isBefore(order, left, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, order, left, this.#tags[last] as number);
    return true;
  }

  #isBefore(order: number, left: number, other: number): boolean {
    const otherOrder = this.#orders[other] as number;
    return order < otherOrder || (order === otherOrder && left < (this.#lefts[other] as number));
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#orders[from] as number, this.#lefts[from] as number, this.#tags[from] as number);
  }

  #set(at: number, order: number, left: number, tag: number): void {
    this.#orders[at] = order;
    this.#lefts[at] = left;
    this.#tags[at] = tag;
  }

  #grow(): void {
    const orders = new Float64Array(2 * this.#size);
    orders.set(this.#orders);
    this.#orders = orders;
    const lefts = new Int32Array(2 * this.#size);
    lefts.set(this.#lefts);
    this.#lefts = lefts;
    const tags = new Int32Array(2 * this.#size);
    tags.set(this.#tags);
    this.#tags = tags;
  }
}
