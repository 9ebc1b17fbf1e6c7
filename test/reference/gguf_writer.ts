/** A plain writer of GGUF files for tests: it writes what it is told, right or wrong, and checks nothing. */

/** Numbers of the metadata value types. */
export const ggufTypes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type GgufTypeName = keyof typeof ggufTypes;

/** A metadata value with its type spelled out. An array's value is a plain array of values of type `of`. */
export type TypedValue =
  | { readonly type: Exclude<GgufTypeName, "array">; readonly value: number | bigint | boolean | string }
  | { readonly type: "array"; readonly of: GgufTypeName; readonly value: readonly unknown[] };

/** A value whose type follows from it: whole numbers become u32 (or i32 below 0), other numbers f32. */
export type WritableValue =
  | TypedValue
  | string
  | number
  | boolean
  | readonly string[]
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint8Array;

/** A tensor to write. */
export interface WritableTensor {
  readonly name: string;
  /** Number of the ggml type: 0 is F32, 1 F16, 8 Q8_0. */
  readonly type: number;
  /** Lengths, row length first. */
  readonly shape: readonly (number | bigint)[];
  readonly data: Uint8Array;
  /** Written as the tensor's offset instead of the right one. */
  readonly offset?: number | bigint;
}

export interface WriteOptions {
  readonly version?: number;
  /** Alignment of tensor data; the caller adds `general.alignment` to the metadata if it is not 32. */
  readonly alignment?: number;
  readonly magic?: string;
  readonly tensorCount?: number | bigint;
  readonly metadataCount?: number | bigint;
}

/** A number that must be written as f32 although it is whole. */
export function f32(value: number): TypedValue {
  return { type: "f32", value };
}

/** Returns the bytes of a GGUF file. */
export function writeGguf(
  metadata: Readonly<Record<string, WritableValue>> | readonly (readonly [string, WritableValue])[],
  tensors: readonly WritableTensor[] = [],
  options: WriteOptions = {},
): Uint8Array {
  const entries = isPairs(metadata) ? metadata : Object.entries(metadata);
  const alignment = options.alignment ?? 32;
  const out = new ByteWriter();
  out.bytes(new TextEncoder().encode(options.magic ?? "GGUF"));
  out.scalar("u32", options.version ?? 3);
  out.scalar("u64", options.tensorCount ?? tensors.length);
  out.scalar("u64", options.metadataCount ?? entries.length);
  for (const [key, value] of entries) {
    out.scalar("string", key);
    out.typed(typedValue(value));
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.scalar("string", tensor.name);
    out.scalar("u32", tensor.shape.length);
    for (const length of tensor.shape) out.scalar("u64", length);
    out.scalar("u32", tensor.type);
    out.scalar("u64", tensor.offset ?? offset);
    offset = align(offset + tensor.data.length, alignment);
  }
  for (const tensor of tensors) {
    out.pad(alignment);
    out.bytes(tensor.data);
  }
  return out.finish();
}

function isPairs(
  metadata: Readonly<Record<string, WritableValue>> | readonly (readonly [string, WritableValue])[],
): metadata is readonly (readonly [string, WritableValue])[] {
  return Array.isArray(metadata);
}

function align(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function typedValue(value: WritableValue): TypedValue {
  if (typeof value === "string") return { type: "string", value };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return { type: "f32", value };
    return { type: value < 0 ? "i32" : "u32", value };
  }
  if (value instanceof Float32Array) return { type: "array", of: "f32", value: [...value] };
  if (value instanceof Int32Array) return { type: "array", of: "i32", value: [...value] };
  if (value instanceof Uint32Array) return { type: "array", of: "u32", value: [...value] };
  if (value instanceof Uint8Array) return { type: "array", of: "u8", value: [...value] };
  if ("type" in value) return value;
  return { type: "array", of: "string", value };
}

/** Returns the values as the bytes of F32 elements. */
export function encodeF32(values: Float32Array): Uint8Array {
  return new Uint8Array(values.slice().buffer);
}

/** Returns the values, rounded to the nearest, as the bytes of F16 elements. */
export function encodeF16(values: Float32Array): Uint8Array {
  return new Uint8Array(new Float16Array(values).buffer);
}

/**
 * Returns the values as Q8_0 blocks: for each 32 values a scale d = max|x| / 127 in F16 and 32 bytes round(x / d).
 * Their number must be a multiple of 32.
 */
export function encodeQ8_0(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 32) * 34);
  const view = new DataView(out.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    const x = values.subarray(block * 32, block * 32 + 32);
    const d = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    view.setFloat16(block * 34, d, true);
    x.forEach((value, i) => {
      view.setInt8(block * 34 + 2 + i, d === 0 ? 0 : Math.round(value / d));
    });
  }
  return out;
}

class ByteWriter {
  #buffer = new Uint8Array(1024);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  pad(alignment: number): void {
    this.bytes(new Uint8Array(align(this.#length, alignment) - this.#length));
  }

  typed(typed: TypedValue): void {
    this.scalar("u32", ggufTypes[typed.type]);
    if (typed.type === "array") this.array(typed.of, typed.value);
    else this.scalar(typed.type, typed.value);
  }

  /** Elements of an array of arrays are `{ of, value }`. */
  array(of: GgufTypeName, values: readonly unknown[]): void {
    this.scalar("u32", ggufTypes[of]);
    this.scalar("u64", values.length);
    for (const value of values) {
      if (of === "array") {
        const inner = value as { of: GgufTypeName; value: readonly unknown[] };
        this.array(inner.of, inner.value);
      } else {
        this.scalar(of, value);
      }
    }
  }

  scalar(type: Exclude<GgufTypeName, "array">, value: unknown): void {
    if (type === "string") {
      const text = new TextEncoder().encode(String(value));
      this.scalar("u64", text.length);
      this.bytes(text);
      return;
    }
    this.#reserve(8);
    const at = this.#length;
    const number = Number(value);
    const widths = { u8: 1, i8: 1, bool: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 };
    if (type === "u64") this.#view.setBigUint64(at, BigInt(value as number | bigint), true);
    else if (type === "i64") this.#view.setBigInt64(at, BigInt(value as number | bigint), true);
    else if (type === "f64") this.#view.setFloat64(at, number, true);
    else if (type === "f32") this.#view.setFloat32(at, number, true);
    else if (widths[type] === 4) this.#view.setUint32(at, number, true);
    else if (widths[type] === 2) this.#view.setUint16(at, number, true);
    else this.#view.setUint8(at, number);
    this.#length += widths[type];
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + length));
    larger.set(this.#buffer);
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }
}
