/**
 * Limits of the indices that a caller gives per run (token ids, cache slots, block tables). A kernel trusts them, so
 * that the plan checks them first: an index out of range would read or write someone else's memory.
 */

import { type Dimension, maximum, type Rows } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Every index is below a limit. */
export interface BelowLimit {
  readonly kind: "below";
  /** Operation that needs it, for messages. */
  readonly operation: string;
  readonly indices: Tensor;
  /** What the indices count, for messages: "slots of the cache". */
  readonly of: string;
  /** A number, or what a dynamic dimension is set to in the run. */
  readonly limit: number | Rows;
  /** One value that is allowed besides. */
  readonly except?: number;
}

/** Every key position up to that of a row lies in a block of the cache. */
export interface BlockLimit {
  readonly kind: "blocks";
  readonly operation: string;
  readonly positions: Tensor; // u32 [rows]
  readonly sequences: Tensor; // u32 [rows]
  readonly blockTables: Tensor; // u32 [sequences, blocksPerSequence]
  /** Positions per block. */
  readonly blockSize: number;
  /** Blocks that the cache has. */
  readonly blockCount: number;
}

export type WordLimit = BelowLimit | BlockLimit;

/** What a checker needs to see of a plan. */
export interface IndexMemory {
  /** The values of a u32 tensor, live; undefined where the CPU cannot see them. */
  values(tensor: Tensor): Uint32Array | undefined;
  /** What a dimension is in the coming run. */
  size(dimension: Dimension): number;
}

/** Checks all limits of a plan. Allocates nothing per check. */
export class LimitChecker {
  readonly #memory: IndexMemory;
  readonly #checks: (() => void)[] = [];

  constructor(limits: readonly WordLimit[], memory: IndexMemory) {
    this.#memory = memory;
    for (const limit of withoutRepeats(limits)) {
      const check = limit.kind === "below" ? this.#below(limit) : this.#blocks(limit);
      if (check !== undefined) this.#checks.push(check);
    }
  }

  /** @throws {RangeError} naming the first index that is out of range */
  check(): void {
    for (const check of this.#checks) check();
  }

  #below(limit: BelowLimit): (() => void) | undefined {
    const { indices, operation, of, except } = limit;
    const values = this.#memory.values(indices);
    if (values === undefined) return undefined;
    return () => {
      const count = this.#memory.size(indices.shape[0]);
      const end = this.#memory.size(limit.limit);
      for (let i = 0; i < count; i++) {
        if (values[i] >= end && values[i] !== except) {
          throw outOfRange(`${nameOf(indices)}[${i}] is ${values[i]}, but ${operation} has ${end} ${of}`);
        }
      }
    };
  }

  /** Looks at each entry of a block table once per run, however many rows need it. */
  #blocks(limit: BlockLimit): (() => void) | undefined {
    const { positions, sequences, blockTables, blockSize, blockCount, operation } = limit;
    const positionOf = this.#memory.values(positions);
    const sequenceOf = this.#memory.values(sequences);
    const tables = this.#memory.values(blockTables);
    if (positionOf === undefined || sequenceOf === undefined || tables === undefined) return undefined;
    const [sequenceCount, blocksPerSequence] = blockTables.shape.map(maximum);
    const checked = new Uint32Array(sequenceCount); // entries of each table
    return () => {
      checked.fill(0);
      const count = this.#memory.size(positions.shape[0]);
      for (let row = 0; row < count; row++) {
        const sequence = sequenceOf[row];
        const position = positionOf[row];
        if (sequence >= sequenceCount) {
          const tablesAre = `${operation} has ${sequenceCount} block tables`;
          throw outOfRange(`${nameOf(sequences)}[${row}] is ${sequence}, but ${tablesAre}`);
        }
        const needed = Math.floor(position / blockSize) + 1;
        if (needed > blocksPerSequence) {
          const room = `a block table of ${operation} has room for ${blocksPerSequence * blockSize} positions`;
          throw outOfRange(`${nameOf(positions)}[${row}] is ${position}, but ${room}`);
        }
        for (let i = checked[sequence]; i < needed; i++) {
          const block = tables[sequence * blocksPerSequence + i];
          if (block >= blockCount) {
            const cache = `position ${position} of the sequence needs it, and the cache has ${blockCount} blocks`;
            throw outOfRange(`${nameOf(blockTables)}[${sequence}, ${i}] is ${block}, but ${cache}`);
          }
        }
        checked[sequence] = Math.max(checked[sequence], needed);
      }
    };
  }
}

/** The limits without those that say the same again: layers share their words. */
function withoutRepeats(limits: readonly WordLimit[]): WordLimit[] {
  const seen = new Map<string, WordLimit>();
  for (const limit of limits) {
    const key = keyOf(limit);
    if (!seen.has(key)) seen.set(key, limit);
  }
  return [...seen.values()];
}

function keyOf(limit: WordLimit): string {
  if (limit.kind === "below") {
    const { indices, limit: below, except } = limit;
    return ["below", indices.id, typeof below === "number" ? below : below.name, except].join(" ");
  }
  const { positions, sequences, blockTables, blockSize, blockCount } = limit;
  return ["blocks", positions.id, sequences.id, blockTables.id, blockSize, blockCount].join(" ");
}

function nameOf({ source, id }: Tensor): string {
  return source.kind === "words" || source.kind === "input" ? source.name : `constant ${id}`;
}

function outOfRange(problem: string): RangeError {
  return new RangeError(`Cannot run the plan: ${problem}`);
}
