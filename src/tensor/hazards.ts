/**
 * Which dispatches may overlap. A dispatch may run beside the ones before it if it reads nothing that they write and
 * writes nothing that they touch; else a barrier comes between, and tracking starts again.
 *
 * Knows ranges of bytes and nothing of Metal.
 */

/** Bytes `[start, end)` of some memory; two ranges can only overlap where `memory` is the same value. */
export interface MemoryRange {
  readonly memory: unknown;
  readonly start: number;
  readonly end: number;
}

/** A set of numbers kept as disjoint, sorted ranges `[start, end)` that do not touch. */
export class RangeSet {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Adds all of `[start, end)`. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#firstEndingFrom(start);
    let last = first;
    let from = start;
    let to = end;
    for (; last < this.#starts.length && this.#starts[last] <= end; last++) {
      from = Math.min(from, this.#starts[last]);
      to = Math.max(to, this.#ends[last]);
    }
    this.#starts.splice(first, last - first, from);
    this.#ends.splice(first, last - first, to);
  }

  /** True where a number of `[start, end)` is in the set. */
  overlaps(start: number, end: number): boolean {
    if (start >= end) return false;
    const next = this.#firstEndingFrom(start + 1);
    return next < this.#starts.length && this.#starts[next] < end;
  }

  /** Index of the first range whose end is at or after `position`. */
  #firstEndingFrom(position: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle] < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Touched {
  readonly read: RangeSet;
  readonly written: RangeSet;
}

/** What has been read and written since the last barrier. */
export class HazardTracker {
  readonly #touched = new Map<unknown, Touched>();

  /**
   * True where a dispatch cannot run beside those noted: it reads what they write (RAW), or writes what they read (WAR)
   * or write (WAW).
   */
  conflicts(reads: readonly MemoryRange[], writes: readonly MemoryRange[]): boolean {
    return (
      reads.some(({ memory, start, end }) => this.#touched.get(memory)?.written.overlaps(start, end)) ||
      writes.some(({ memory, start, end }) => {
        const touched = this.#touched.get(memory);
        return touched?.written.overlaps(start, end) || touched?.read.overlaps(start, end);
      })
    );
  }

  /** Notes what a dispatch reads and writes. */
  note(reads: readonly MemoryRange[], writes: readonly MemoryRange[]): void {
    for (const { memory, start, end } of reads) this.#of(memory).read.add(start, end);
    for (const { memory, start, end } of writes) this.#of(memory).written.add(start, end);
  }

  /** Forgets all, as a barrier lets one do. */
  reset(): void {
    this.#touched.clear();
  }

  /** Notes the next dispatch in order. Returns true where a barrier has to come before it. */
  next(reads: readonly MemoryRange[], writes: readonly MemoryRange[]): boolean {
    const needsBarrier = this.conflicts(reads, writes);
    if (needsBarrier) this.reset();
    this.note(reads, writes);
    return needsBarrier;
  }

  #of(memory: unknown): Touched {
    let touched = this.#touched.get(memory);
    if (touched === undefined) {
      touched = { read: new RangeSet(), written: new RangeSet() };
      this.#touched.set(memory, touched);
    }
    return touched;
  }
}
