/** A model in another type: tensor by tensor, in pieces, from file to file. */
import {
  encodeCount,
  type GgmlType,
  type GgufFile,
  type GgufTensor,
  ggmlLayout,
  openGguf,
  planGguf,
  splitKeys,
} from "../gguf/index.ts";
import { type EncodableType, encode, isEncodable } from "./encoders.ts";
import { QuantizeError } from "./errors.ts";
import { type FloatType, floatTypes, isFloatType, readFloats } from "./floats.ts";
import { InputFiles } from "./input.ts";
import { chooseType, fileTypeOf, type QuantizeType, quantizeTypes, readFacts } from "./mix.ts";
import { OutputFile } from "./output.ts";

/** Values that are read, quantised and written at once: whole blocks of every type. */
const PIECE_VALUES = 1 << 18;
const COPY_BYTES = 1 << 20;
/** The largest value of F16, in which blocks have their scales. */
const MAX_F16 = 65504;
/** Of the layouts of quantised tensors: GGML_QNT_VERSION. */
const QUANTIZATION_VERSION = 2;

/** How far quantising is. */
export type QuantizeProgress = {
  /** The tensor at work. */
  readonly tensor: string;
  /** How much of the model is done, from 0 to 1. */
  readonly fraction: number;
};

export type QuantizeOptions = {
  /** Whether an existing file may be replaced. Default: false. */
  readonly overwrite?: boolean;
  /** Whether all matrices get the same type, where a type is otherwise a mix. Default: false. */
  readonly pure?: boolean;
  /** Told after each piece. */
  readonly onProgress?: (progress: QuantizeProgress) => void;
  /** Aborts the work, which leaves nothing behind then. */
  readonly signal?: AbortSignal;
};

/** What was written. */
export type QuantizeResult = {
  readonly byteLength: number;
  /** Bytes of the input, all parts together. */
  readonly inputByteLength: number;
  /** Each tensor's type, before and after. */
  readonly tensors: readonly { readonly name: string; readonly from: string; readonly to: string }[];
};

/**
 * Writes a model in another type. The input is read in pieces, so it can be larger than memory; the output appears whole
 * or not at all, and has the same bytes each time.
 *
 * @param input A GGUF file with weights in F32, F16 or BF16, or any part of one that is split.
 * @param output The file to write.
 * @throws {GgufError} If the input is no GGUF file.
 * @throws {QuantizeError} If the input cannot be read or has weights that are quantised already, or if the output exists
 *   or cannot be written; `code` says which.
 * @throws {RangeError} If there is no such type.
 *
 * @example
 * ```ts
 * import { quantize } from "bun-metal";
 *
 * await quantize("model-f16.gguf", "model-q4_k_m.gguf", "Q4_K_M");
 * ```
 */
export async function quantize(
  input: string,
  output: string,
  type: QuantizeType,
  options: QuantizeOptions = {},
): Promise<QuantizeResult> {
  const { overwrite = false, pure = false, signal } = options;
  if (!quantizeTypes.includes(type)) {
    throw new RangeError(`type must be one of ${quantizeTypes.join(", ")}, not "${type}"`);
  }
  signal?.throwIfAborted();
  const file = openGguf(input);
  const facts = readFacts(file);
  const conversions = [...file.tensors.values()].map((from) =>
    checkedConversion(from, chooseType(from, type, facts, pure)),
  );
  await using source = await InputFiles.open(file.parts);
  const plan = planGguf(
    await entriesOf(file, source, type),
    conversions.map(({ from: { name, shape }, to }) => ({ name, shape, type: to })),
    file.getCount("general.alignment", 32),
  );
  const inputs = file.parts.map(({ path }) => path);
  await using target = await OutputFile.create(output, inputs, overwrite);
  await target.write(plan.header, 0);
  const total = conversions.reduce((sum, { from }) => sum + from.byteLength, 0);
  let done = 0;
  for (const [i, conversion] of conversions.entries()) {
    for await (const bytes of convert(source, target, conversion, plan.tensors[i].offset)) {
      done += bytes;
      options.onProgress?.({ tensor: conversion.from.name, fraction: done / total });
      signal?.throwIfAborted();
    }
  }
  await target.finish(plan.byteLength);
  return {
    byteLength: plan.byteLength,
    inputByteLength: file.fileSize,
    tensors: conversions.map(({ from, to }) => ({ name: from.name, from: from.type, to })),
  };
}

/** What becomes of a tensor: `read` is its type if its values have to be read, and undefined if bytes are copied. */
type Conversion =
  | { readonly from: GgufTensor; readonly to: GgmlType; readonly read: undefined }
  | { readonly from: GgufTensor; readonly to: EncodableType; readonly read: FloatType };

function checkedConversion(from: GgufTensor, to: GgmlType): Conversion {
  if (from.type === to) return { from, to, read: undefined };
  const { type, name } = from;
  if (isFloatType(type) && isEncodable(to)) return { from, to, read: type };
  throw new QuantizeError(
    "type",
    `Cannot quantise tensor "${name}" to ${to}: its type is ${type}, and only ${floatTypes.join(", ")} can be read; use the file that this one was made from`,
    { tensor: name },
  );
}

/** All metadata of the model as it is, but for what says how it is split, and the type. */
async function entriesOf(file: GgufFile, source: InputFiles, type: QuantizeType): Promise<Uint8Array[]> {
  const fileType = fileTypeOf(type);
  const replaced = fileType === undefined ? [] : ["general.file_type", "general.quantization_version"];
  const entries: Uint8Array[] = [];
  for (const [key, { offset, byteLength }] of file.metadataRanges) {
    if (splitKeys.includes(key) || replaced.includes(key)) continue;
    const bytes = new Uint8Array(byteLength);
    await source.read(0, bytes, offset);
    entries.push(bytes);
  }
  if (fileType !== undefined) {
    entries.push(encodeCount("general.quantization_version", QUANTIZATION_VERSION));
    entries.push(encodeCount("general.file_type", fileType));
  }
  return entries;
}

/** Converts one tensor; gives the length of each piece of input when it is written. */
async function* convert(
  source: InputFiles,
  target: OutputFile,
  { from, to, read }: Conversion,
  offset: number,
): AsyncGenerator<number> {
  if (read === undefined) {
    for (let at = 0; at < from.byteLength; at += COPY_BYTES) {
      const bytes = new Uint8Array(Math.min(COPY_BYTES, from.byteLength - at));
      await source.read(from.part, bytes, from.offset + at);
      await target.write(bytes, offset + at);
      yield bytes.length;
    }
    return;
  }
  const valueBytes = ggmlLayout(read).blockBytes;
  const pieceBytes = PIECE_VALUES * valueBytes;
  let written = offset;
  for (let at = 0; at < from.byteLength; at += pieceBytes) {
    const bytes = new Uint8Array(Math.min(pieceBytes, from.byteLength - at));
    await source.read(from.part, bytes, from.offset + at);
    const values = new Float32Array(bytes.length / valueBytes);
    readFloats(read, bytes, values);
    checkValues(from.name, to, values);
    const blocks = encode(to, values);
    await target.write(blocks, written);
    written += blocks.length;
    yield bytes.length;
  }
}

function checkValues(name: string, to: GgmlType, values: Float32Array): void {
  const most = to === "f32" || to === "bf16" ? Number.MAX_VALUE : MAX_F16;
  const wrong = values.find((value) => !(Math.abs(value) <= most));
  if (wrong === undefined) return;
  const fault = Number.isFinite(wrong)
    ? `is over ${most}, the most that scales in F16 allow; use BF16 or F32`
    : "is no number; the file is damaged, or its training failed";
  throw new QuantizeError(
    "value",
    `Cannot quantise tensor "${name}" to ${to}: a value of ${wrong} ${fault}`,
    {
      tensor: name,
    },
  );
}
