/**
 * How the weights of a file are spread over buffers: no device takes a buffer of any length, and files of weights are
 * larger than some devices' longest. Arithmetic only; who maps or copies the chunks is not its business.
 */
import { ModelError } from "./errors.ts";

/** Bytes of a file that have to lie in one piece: a tensor's data. */
export type FileRange = {
  /** The tensor's name, for messages. */
  readonly name: string;
  readonly offset: number; // bytes from the start of the file
  readonly byteLength: number; // at least 1
};

/** Part of a file that becomes one buffer. */
export type Chunk = {
  /** Bytes from the start of the file; a multiple of the page size. */
  readonly offset: number;
  /** Up to the end of the chunk's last range; in whole pages at most `maxBufferLength`. */
  readonly byteLength: number;
};

/** Where a range lies. */
export type ChunkPlace = {
  /** Index into `ChunkPlan.chunks`. */
  readonly chunk: number;
  readonly offset: number; // bytes from the start of the chunk
};

export type ChunkPlan = {
  /** By offset. Two neighbours may share a page, which both contain then. */
  readonly chunks: readonly Chunk[];
  /** One for each range, in the order of the ranges. */
  readonly places: readonly ChunkPlace[];
};

/** What a device says of its buffers; a `DeviceInfo` is one. */
export type ChunkLimits = {
  /** Bytes, the granularity of mappings. */
  readonly pageSize: number;
  /** Bytes of the largest buffer. */
  readonly maxBufferLength: number;
};

/**
 * Spreads ranges of a file over chunks: each range lies whole in one chunk, every page of a chunk has bytes of a range,
 * and for ranges that do not overlap there are as few chunks as these rules and the device allow. Offsets within a chunk
 * keep a range's alignment, up to the page size.
 *
 * @param ranges In any order.
 * @throws {ModelError} If one range alone is over the limit; `field` is its name.
 */
export function planChunks(ranges: readonly FileRange[], limits: ChunkLimits): ChunkPlan {
  const { pageSize } = limits;
  const pageStart = (offset: number): number => Math.floor(offset / pageSize) * pageSize;
  const pageEnd = (offset: number): number => Math.ceil(offset / pageSize) * pageSize;

  const chunks: { offset: number; byteLength: number }[] = [];
  const places = new Array<ChunkPlace>(ranges.length);
  const order = [...ranges.entries()].sort(([, a], [, b]) => a.offset - b.offset);
  for (const [index, range] of order) {
    const end = range.offset + range.byteLength;
    const alone = pageEnd(end) - pageStart(range.offset);
    if (alone > limits.maxBufferLength) throw tooLong(range, alone, limits);
    let chunk = chunks.at(-1);
    const continues =
      chunk !== undefined &&
      pageStart(range.offset) <= pageEnd(chunk.offset + chunk.byteLength) && // else a page between them has no use
      pageEnd(end) - chunk.offset <= limits.maxBufferLength;
    if (chunk === undefined || !continues) {
      chunk = { offset: pageStart(range.offset), byteLength: 0 };
      chunks.push(chunk);
    }
    chunk.byteLength = Math.max(chunk.byteLength, end - chunk.offset);
    places[index] = { chunk: chunks.length - 1, offset: range.offset - chunk.offset };
  }
  return { chunks, places };
}

function tooLong(range: FileRange, bytes: number, { maxBufferLength }: ChunkLimits): ModelError {
  return new ModelError(
    range.name,
    `Cannot place tensor "${range.name}": in whole pages its data take ${bytes} bytes, and the device's largest buffer has ${maxBufferLength}; use a file with a smaller quantisation`,
  );
}
