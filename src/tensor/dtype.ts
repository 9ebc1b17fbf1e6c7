/**
 * Element types. A type is a row of one table: how many elements share a block and how many bytes the block takes.
 * docs/adding-a-type.md shows all that a new type needs.
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

/**
 * The types that weights may have, as GGUF stores them: what `embed`, `matmul` and `convert` read. Kernels carry these
 * names in theirs.
 */
export type WeightDType =
  | "f32"
  | "f16"
  | "bf16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k"
  | "iq4_nl"
  | "iq4_xs"
  | "mxfp4";

/** Name of an element type. */
export type DType = WeightDType | "u32";

/** The types of weights. The blocks are those of shaders/blocks.h. */
const weights: Readonly<Record<WeightDType, DTypeLayout>> = {
  f32: { blockLength: 1, blockBytes: 4, alignment: 4 },
  f16: { blockLength: 1, blockBytes: 2, alignment: 2 },
  bf16: { blockLength: 1, blockBytes: 2, alignment: 2 },
  q4_0: { blockLength: 32, blockBytes: 18, alignment: 2 },
  q4_1: { blockLength: 32, blockBytes: 20, alignment: 2 },
  q5_0: { blockLength: 32, blockBytes: 22, alignment: 2 },
  q5_1: { blockLength: 32, blockBytes: 24, alignment: 2 },
  q8_0: { blockLength: 32, blockBytes: 34, alignment: 2 },
  q2_k: { blockLength: 256, blockBytes: 84, alignment: 2 },
  q3_k: { blockLength: 256, blockBytes: 110, alignment: 2 },
  q4_k: { blockLength: 256, blockBytes: 144, alignment: 2 },
  q5_k: { blockLength: 256, blockBytes: 176, alignment: 2 },
  q6_k: { blockLength: 256, blockBytes: 210, alignment: 2 },
  iq4_nl: { blockLength: 32, blockBytes: 18, alignment: 2 },
  iq4_xs: { blockLength: 256, blockBytes: 136, alignment: 2 },
  mxfp4: { blockLength: 32, blockBytes: 17, alignment: 1 },
};

/** All element types. */
export const dtypes: Readonly<Record<DType, DTypeLayout>> = {
  ...weights,
  u32: { blockLength: 1, blockBytes: 4, alignment: 4 },
};

/** All types that weights may have. */
export const weightDTypes: readonly WeightDType[] = Object.keys(weights) as WeightDType[];

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
