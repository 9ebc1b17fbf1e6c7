/** The types that can be written, and who writes them. */
import { type GgmlType, ggmlLayout } from "../gguf/index.ts";
import { type Encoder, encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from "./blocks32.ts";
import { createQ2K, createQ3K, createQ4K, createQ5K, createQ6K } from "./blocks256.ts";
import { encodeBf16, encodeF16, encodeF32, type FloatType } from "./floats.ts";

/** A type that tensors can be quantised to. */
export type EncodableType =
  | FloatType
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k";

const encoders: Readonly<Record<EncodableType, Encoder>> = {
  f32: encodeF32,
  f16: encodeF16,
  bf16: encodeBf16,
  q4_0: encodeQ4_0,
  q4_1: encodeQ4_1,
  q5_0: encodeQ5_0,
  q5_1: encodeQ5_1,
  q8_0: encodeQ8_0,
  q2_k: createQ2K(),
  q3_k: createQ3K(),
  q4_k: createQ4K(),
  q5_k: createQ5K(),
  q6_k: createQ6K(),
};

/** Returns the values, whole blocks of them, in a type. */
export function encode(type: EncodableType, x: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = ggmlLayout(type);
  const out = new Uint8Array((x.length / blockSize) * blockBytes);
  encoders[type](x, out);
  return out;
}

/** Whether values can be written in this type. */
export function isEncodable(type: GgmlType): type is EncodableType {
  return Object.hasOwn(encoders, type);
}
