/** What the model computes in one step: rows of (token, position, sequence, wants logits), in batches it has room for. */
import type { KvCache } from "./cache.ts";
import type { Sequence } from "./sequence.ts";

/** One token at one place. */
export type Row = {
  readonly token: number;
  /** The position that follows what the sequence holds and what earlier rows of the same call add to it. */
  readonly position: number;
  readonly sequence: Sequence;
  /** Whether the logits after this token are wanted. They cost a product with the whole vocabulary. Default: false. */
  readonly wantsLogits?: boolean;
};

export type BatchLimits = {
  /** Rows of one step. */
  readonly rows: number;
  /** Rows of one step that can have logits. */
  readonly logitRows: number;
};

/**
 * Refuses rows that the model could not run, before any of them has an effect.
 *
 * @throws {RangeError} If a token is not in the vocabulary, a sequence is closed or another model's, or a position does
 *   not follow.
 * @throws {ContextFullError} If a sequence or the cache has no room.
 */
export function checkRows(rows: readonly Row[], cache: KvCache, vocabularySize: number): void {
  const added = new Map<Sequence, number>();
  for (const { token, position, sequence } of rows) {
    if (!Number.isInteger(token) || token < 0 || token >= vocabularySize) {
      throw new RangeError(`Token ${token} is not in the vocabulary of ${vocabularySize}`);
    }
    checkSequence(sequence, cache);
    const count = added.get(sequence) ?? 0;
    checkFollows(sequence, position, count);
    added.set(sequence, count + 1);
  }
  let blocks = 0;
  for (const [sequence, count] of added) {
    cache.blocks.checkRoom(sequence.index, count);
    blocks += cache.blocks.blocksNeeded(sequence.index, count);
  }
  cache.blocks.checkFree(blocks);
}

/** Throws a RangeError unless the position is the next of the sequence with `added` more tokens. */
export function checkFollows(sequence: Sequence, position: number, added = 0): void {
  const next = sequence.length + added;
  if (position === next) return;
  throw new RangeError(
    `Position ${position} does not follow: the next of sequence ${sequence.index} is ${next}, rewind it to go back`,
  );
}

/** Throws a RangeError unless the sequence is open in this cache. */
export function checkSequence(sequence: Sequence, cache: KvCache): void {
  if (sequence.isOpenIn(cache)) return;
  throw new RangeError(`Sequence ${sequence.index} was disposed, or belongs to another model`);
}

/** Cuts rows into batches, in order, each within the limits. */
export function* splitRows(rows: readonly Row[], limits: BatchLimits): Generator<readonly Row[]> {
  let start = 0;
  let wanted = 0;
  for (let end = 0; end < rows.length; end++) {
    const wants = rows[end]?.wantsLogits === true ? 1 : 0;
    if (end - start === limits.rows || wanted + wants > limits.logitRows) {
      yield rows.slice(start, end);
      start = end;
      wanted = 0;
    }
    wanted += wants;
  }
  if (start < rows.length) yield start === 0 ? rows : rows.slice(start);
}
