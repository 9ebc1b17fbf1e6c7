/**
 * The layout of a run's dynamic words, as a plan extends the graph's: row numbers and word arrays come from the graph;
 * grids and kernels also need multiples of row numbers, and fixed row numbers that a kernel reads from memory.
 */

import type { Extent, Rows } from "./shape.ts";

/** A word that follows a dynamic dimension: `factor` times its number. */
export interface DerivedWord {
  readonly rows: Rows;
  readonly factor: number;
  readonly word: number;
}

/** Hands out words behind those of the graph. */
export class WordLayout {
  readonly #derived: DerivedWord[] = [];
  readonly #fixed = new Map<number, number>(); // value -> word
  #count: number;

  /** @param count words that the graph has taken */
  constructor(count: number) {
    this.#count = count;
  }

  /** Words so far. */
  get count(): number {
    return this.#count;
  }

  get derived(): readonly DerivedWord[] {
    return this.#derived;
  }

  /** Words that never change, by value. */
  get fixed(): ReadonlyMap<number, number> {
    return this.#fixed;
  }

  /** The word that holds an extent in each run. */
  wordOf(extent: Extent): number {
    if (typeof extent === "number") {
      const known = this.#fixed.get(extent);
      if (known !== undefined) return known;
      this.#fixed.set(extent, this.#count);
      return this.#count++;
    }
    const { rows, factor } = extent;
    if (factor === 1) return rows.word;
    const known = this.#derived.find((derived) => derived.rows === rows && derived.factor === factor);
    if (known !== undefined) return known.word;
    this.#derived.push({ rows, factor, word: this.#count });
    return this.#count++;
  }
}
