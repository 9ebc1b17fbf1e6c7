/**
 * The tokens that may come next. Vocabularies have up to 260,000 tokens and few of them matter, so nothing here sorts
 * them all. Memory is reserved once for a vocabulary and used again for every token.
 *
 * Candidates are in the first `count` places of `ids` and `values`. The best are those of the highest value; of equal
 * values the lowest id comes first.
 */
export class Candidates {
  /** Token of each candidate. */
  readonly ids: Int32Array;
  /** Logit of each candidate. */
  readonly values: Float32Array;
  count = 0;

  /** @param vocabSize Number of logits. */
  constructor(vocabSize: number) {
    this.ids = new Int32Array(vocabSize);
    this.values = new Float32Array(vocabSize);
  }

  /** Makes every token a candidate, in order of ids. */
  fill(logits: Float32Array): void {
    this.count = logits.length;
    this.values.set(logits);
    for (let id = 0; id < this.count; id++) this.ids[id] = id;
  }

  /**
   * Makes the `k` highest logits the candidates, in no order: O(n + m log k), where m is how often a logit beats the k-th
   * best so far.
   */
  fillHighest(logits: Float32Array, k: number): void {
    this.count = 0;
    for (let id = 0; id < logits.length; id++) {
      const value = logits[id] as number;
      if (this.count < k) {
        this.#set(this.count++, id, value);
        // A heap with the worst candidate on top: it is the one to lose its place.
        if (this.count === k) for (let at = (k >> 1) - 1; at >= 0; at--) this.#sink(at, this.count, false);
      } else if (value > (this.values[0] as number)) {
        this.#set(0, id, value);
        this.#sink(0, k, false);
      }
    }
  }

  /**
   * Keeps the best candidates whose weights add up to `target`, one at least. It takes O(n) and O(log n) for each that stays.
   *
   * @param weight Weight of a candidate with this logit.
   */
  keepBest(target: number, weight: (value: number) => number): void {
    const total = this.count;
    for (let at = (total >> 1) - 1; at >= 0; at--) this.#sink(at, total, true);
    // The heap shrinks from the front of a list to its end: the best end up behind it.
    let left = total;
    let sum = 0;
    while (left > 0) {
      sum += weight(this.values[0] as number);
      this.#swap(0, --left);
      this.#sink(0, left, true);
      if (sum >= target) break;
    }
    this.count = total - left;
    this.ids.copyWithin(0, left, total);
    this.values.copyWithin(0, left, total);
  }

  /** Keeps candidates with logits that `stays` is true of, in the order they have. */
  keep(stays: (value: number) => boolean): void {
    let kept = 0;
    for (let at = 0; at < this.count; at++) {
      const value = this.values[at] as number;
      if (stays(value)) this.#set(kept++, this.ids[at] as number, value);
    }
    this.count = kept;
  }

  /** Orders candidates by id. */
  sortById(logits: Float32Array): void {
    this.ids.subarray(0, this.count).sort();
    for (let at = 0; at < this.count; at++) this.values[at] = logits[this.ids[at] as number] as number;
  }

  /** Moves the candidate at `at` down a heap of `size` to its place; `bestOnTop` says which end of the order is on top. */
  #sink(at: number, size: number, bestOnTop: boolean): void {
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#isBetter(child + 1, child) === bestOnTop) child++;
      if (this.#isBetter(at, child) === bestOnTop) return;
      this.#swap(at, child);
      at = child;
    }
  }

  /** Returns whether one candidate comes before another: never both ways, as ids differ. */
  #isBetter(a: number, b: number): boolean {
    const difference = (this.values[a] as number) - (this.values[b] as number);
    return difference > 0 || (difference === 0 && (this.ids[a] as number) < (this.ids[b] as number));
  }

  #set(at: number, id: number, value: number): void {
    this.ids[at] = id;
    this.values[at] = value;
  }

  #swap(a: number, b: number): void {
    const id = this.ids[a] as number;
    const value = this.values[a] as number;
    this.#set(a, this.ids[b] as number, this.values[b] as number);
    this.#set(b, id, value);
  }
}
