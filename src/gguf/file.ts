import { GgufError, quoted } from "./errors.ts";
import { type ByteRange, type GgufHeader, type GgufTensor, readHeader } from "./header.ts";
import { type GgufValue, kindOf } from "./metadata.ts";
import { memorySource, openFileSource } from "./source.ts";
import { type GgufPart, readParts, splitCount } from "./split.ts";

/**
 * What a GGUF file contains: its metadata, with getters that check kinds, and where its tensors lie. It holds no file
 * open and no tensor data.
 */
export class GgufFile implements GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly metadataRanges: ReadonlyMap<string, ByteRange>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly fileSize: number;
  /** The files that the model lies in: one, or several if it is split. Empty if it was read from memory. */
  readonly parts: readonly GgufPart[];

  constructor(header: GgufHeader, parts: readonly GgufPart[] = []) {
    this.version = header.version;
    this.metadata = header.metadata;
    this.tensors = header.tensors;
    this.fileSize = header.fileSize;
    this.metadataRanges = header.metadataRanges;
    this.parts = parts;
  }

  /** Returns whether there is a value of any kind under this key. */
  has(key: string): boolean {
    return this.metadata.has(key);
  }

  /**
   * Returns the string under a key.
   *
   * @param fallback What to return if the key is missing. Without it, a missing key is an error.
   * @throws {GgufError} If the value is missing or not a string. So for every getter below.
   */
  getString(key: string, fallback?: string): string {
    const value = this.#value(key, fallback);
    if (typeof value !== "string") throw wrongKind(key, value, "a string");
    return value;
  }

  /** Returns the integer or floating-point number under a key. */
  getNumber(key: string, fallback?: number): number {
    const value = this.#value(key, fallback);
    if (typeof value !== "number") throw wrongKind(key, value, "a number that is exact in 53 bits");
    return value;
  }

  /** Returns the number under a key, which must be a whole number from 0 to 2^53 - 1: a count, a size or an index. */
  getCount(key: string, fallback?: number): number {
    const value = this.#value(key, fallback);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw wrongKind(key, value, "a whole number of at least 0");
    }
    return value;
  }

  /** Returns the boolean under a key. */
  getBoolean(key: string, fallback?: boolean): boolean {
    const value = this.#value(key, fallback);
    if (typeof value !== "boolean") throw wrongKind(key, value, "a boolean");
    return value;
  }

  /** Returns the array of strings under a key. */
  getStrings(key: string, fallback?: readonly string[]): readonly string[] {
    const value = this.#value(key, fallback);
    if (!isStrings(value)) throw wrongKind(key, value, "an array of strings");
    return value;
  }

  /** Returns the array of numbers under a key: usually a typed array of the kind that is in the file. */
  getNumbers(key: string, fallback?: ArrayLike<number>): ArrayLike<number> {
    const value = this.metadata.get(key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (value instanceof BigUint64Array || value instanceof BigInt64Array) {
      const numbers = Array.from(value, Number);
      if (numbers.every(Number.isSafeInteger)) return numbers;
      throw wrongKind(key, value, "an array of numbers that are exact in 53 bits");
    }
    if (!ArrayBuffer.isView(value)) throw wrongKind(key, this.#value(key, undefined), "an array of numbers");
    return value;
  }

  /**
   * Returns the tensor of this name.
   *
   * @throws {GgufError} If there is none.
   */
  getTensor(name: string): GgufTensor {
    const tensor = this.tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new GgufError(`Cannot find tensor ${quoted(name)} among the ${this.tensors.size} of the file`, {
      field: name,
    });
  }

  #value(key: string, fallback: GgufValue | undefined): GgufValue {
    const value = this.metadata.get(key) ?? fallback;
    if (value !== undefined) return value;
    throw new GgufError(`Cannot find ${quoted(key)} in the metadata of the file`, { field: key });
  }
}

/** The elements of an array in a file are of one kind: its first tells. */
function isStrings(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && (value.length === 0 || typeof value[0] === "string");
}

function wrongKind(key: string, value: GgufValue, wanted: string): GgufError {
  return new GgufError(`Cannot use ${quoted(key)} of the metadata: it is ${kindOf(value)}, not ${wanted}`, {
    field: key,
  });
}

/**
 * Reads what a GGUF file contains, without its tensor data. The file may be larger than memory; it is closed again when
 * this returns. A model that is split (`name-00001-of-00003.gguf` and so on) is read as a whole: all its parts have to lie
 * in one folder.
 *
 * @param path Path of the file, or of any part.
 * @throws {GgufError} If it is not a well-formed GGUF file, or if a part is missing or belongs to another model.
 * @throws {Error} If it cannot be read; `cause` holds the system's error.
 *
 * @example
 * ```ts
 * const file = openGguf("examples/models/austen-5m-q8_0.gguf");
 * console.log(file.getString("general.architecture"), file.tensors.size); // "llama" 56
 * ```
 */
export function openGguf(path: string): GgufFile {
  const header = readFile(path);
  if (splitCount(header) === 1) return new GgufFile(header, [{ path, byteLength: header.fileSize }]);
  const { whole, parts } = readParts(path, header, readFile);
  return new GgufFile(whole, parts);
}

function readFile(path: string): GgufHeader {
  using source = openFileSource(path);
  return readHeader(source);
}

/**
 * Reads what a GGUF file in memory contains, which may be a part of a split model. Strings and arrays are copied out of `bytes`.
 *
 * @throws {GgufError} If it is not a well-formed GGUF file.
 */
export function parseGguf(bytes: Uint8Array): GgufFile {
  return new GgufFile(readHeader(memorySource(bytes)));
}
