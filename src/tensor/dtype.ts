/**
 * Element types. A type is a row of one table: how many elements share a block and how many bytes the block takes.
 * A quantisation is added by adding its row here and its kernels in `shaders/`.
 */

/** Storage of one element type. */
export interface DTypeLayout {
  /** Elements per block; rows of a tensor are whole blocks. 1 for plain types. */
  readonly blockLength: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Bytes that the start of a tensor must be a multiple of: the largest scalar in a block. */
  readonly alignment: number;
}

/** Name of an element type, as kernels carry it in theirs. */
export type DType = "f32" | "f16" | "q8_0" | "u32";

/** All element types. */
export const dtypes: Readonly<Record<DType, DTypeLayout>> = {
  f32: { blockLength: 1, blockBytes: 4, alignment: 4 },
  f16: { blockLength: 1, blockBytes: 2, alignment: 2 },
  /** `{ half d; int8 q[32] }`, as in GGUF. */
  q8_0: { blockLength: 32, blockBytes: 34, alignment: 2 },
  u32: { blockLength: 1, blockBytes: 4, alignment: 4 },
};

/** The types that weights may have: what `embed`, `matmul` and `convert` read. */
export type WeightDType = "f32" | "f16" | "q8_0";

/**
 * Bytes of one row of `length` elements.
 *
 * @throws {RangeError} if the row is not a whole number of blocks
 */
export function rowBytes(dtype: DType, length: number): number {
  const { blockLength, blockBytes } = dtypes[dtype];
  if (length % blockLength !== 0) {
    throw new RangeError(
      `A row of ${length} elements is not a whole number of ${dtype} blocks of ${blockLength}: pad the row or use another type`,
    );
  }
  return (length / blockLength) * blockBytes;
}
