/**
 * How ggml stores the elements of a tensor: in blocks of `blockSize` consecutive elements of a row, `blockBytes` each.
 * Source: `type_traits` in ggml.c and the block structs in ggml-common.h.
 */
const layouts: Readonly<Record<GgmlType, GgmlLayout>> = {
  f32: { id: 0, blockSize: 1, blockBytes: 4 },
  f16: { id: 1, blockSize: 1, blockBytes: 2 },
  q4_0: { id: 2, blockSize: 32, blockBytes: 18 },
  q4_1: { id: 3, blockSize: 32, blockBytes: 20 },
  q5_0: { id: 6, blockSize: 32, blockBytes: 22 },
  q5_1: { id: 7, blockSize: 32, blockBytes: 24 },
  q8_0: { id: 8, blockSize: 32, blockBytes: 34 },
  q8_1: { id: 9, blockSize: 32, blockBytes: 36 },
  q2_k: { id: 10, blockSize: 256, blockBytes: 84 },
  q3_k: { id: 11, blockSize: 256, blockBytes: 110 },
  q4_k: { id: 12, blockSize: 256, blockBytes: 144 },
  q5_k: { id: 13, blockSize: 256, blockBytes: 176 },
  q6_k: { id: 14, blockSize: 256, blockBytes: 210 },
  q8_k: { id: 15, blockSize: 256, blockBytes: 292 },
  iq2_xxs: { id: 16, blockSize: 256, blockBytes: 66 },
  iq2_xs: { id: 17, blockSize: 256, blockBytes: 74 },
  iq3_xxs: { id: 18, blockSize: 256, blockBytes: 98 },
  iq1_s: { id: 19, blockSize: 256, blockBytes: 50 },
  iq4_nl: { id: 20, blockSize: 32, blockBytes: 18 },
  iq3_s: { id: 21, blockSize: 256, blockBytes: 110 },
  iq2_s: { id: 22, blockSize: 256, blockBytes: 82 },
  iq4_xs: { id: 23, blockSize: 256, blockBytes: 136 },
  i8: { id: 24, blockSize: 1, blockBytes: 1 },
  i16: { id: 25, blockSize: 1, blockBytes: 2 },
  i32: { id: 26, blockSize: 1, blockBytes: 4 },
  i64: { id: 27, blockSize: 1, blockBytes: 8 },
  f64: { id: 28, blockSize: 1, blockBytes: 8 },
  iq1_m: { id: 29, blockSize: 256, blockBytes: 56 },
  bf16: { id: 30, blockSize: 1, blockBytes: 2 },
  tq1_0: { id: 34, blockSize: 256, blockBytes: 54 },
  tq2_0: { id: 35, blockSize: 256, blockBytes: 66 },
  mxfp4: { id: 39, blockSize: 32, blockBytes: 17 },
};

/** How one ggml type is laid out in memory. */
export interface GgmlLayout {
  /** Number of the type in a file. */
  readonly id: number;
  /** Elements in a block; the length of a tensor's row is a multiple of it. */
  readonly blockSize: number;
  /** Bytes in a block. */
  readonly blockBytes: number;
}

/** Name of a ggml element type, in lower case: `"f32"`, `"f16"`, `"q8_0"`, `"q4_k"`... */
export type GgmlType =
  | "f32"
  | "f16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q8_1"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k"
  | "q8_k"
  | "iq2_xxs"
  | "iq2_xs"
  | "iq3_xxs"
  | "iq1_s"
  | "iq4_nl"
  | "iq3_s"
  | "iq2_s"
  | "iq4_xs"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "f64"
  | "iq1_m"
  | "bf16"
  | "tq1_0"
  | "tq2_0"
  | "mxfp4";

/** Every type whose layout is known, in the order of their numbers. */
export const ggmlTypes: readonly GgmlType[] = Object.keys(layouts) as GgmlType[];

const namesById: ReadonlyMap<number, GgmlType> = new Map(ggmlTypes.map((type) => [layouts[type].id, type]));

/** Returns the layout of a type. */
export function ggmlLayout(type: GgmlType): GgmlLayout {
  return layouts[type];
}

/** Returns the type with this number in files, or undefined if there is none (or no longer: 4, 5, 31 to 33, 36 to 38). */
export function ggmlTypeById(id: number): GgmlType | undefined {
  return namesById.get(id);
}
