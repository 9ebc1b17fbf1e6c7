import { type GgmlType, ggmlLayout, ggmlTypeById, ggmlTypes } from "./blocks.ts";
import { Cursor } from "./cursor.ts";
import { GgufError, quoted } from "./errors.ts";
import { type GgufValue, readTypedValue } from "./metadata.ts";
import type { ByteSource } from "./source.ts";

/** A tensor as the file describes it. Nothing of its data has been read. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Lengths of its 1 to 4 dimensions, the fastest-varying (a row's length) first, as ggml orders them. */
  readonly shape: readonly number[];
  /** Which of the model's files has its data: an index into `GgufFile.parts`, 0 unless the model is split. */
  readonly part: number;
  /** Offset of its data from the start of that file. */
  readonly offset: number;
  /** Bytes of its data. */
  readonly byteLength: number;
}

/** A part of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly byteLength: number;
}

/** All that a GGUF file says before its tensor data. */
export interface GgufHeader {
  /** Version of the format: 2 or 3. */
  readonly version: number;
  /** Keys and values in the file's order. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Where each key lies in the (first) file, with its value. */
  readonly metadataRanges: ReadonlyMap<string, ByteRange>;
  /** Tensors by name, in the file's order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Size of the whole file in bytes, of all parts if the model is split. */
  readonly fileSize: number;
}

/** "GGUF" as a little-endian 32-bit number. */
const MAGIC = 0x46554747;
const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 4;
const MAX_KEY_LENGTH = 65535;
/** GGML_MAX_NAME, with the byte that C needs for its terminator. */
const MAX_TENSOR_NAME_LENGTH = 64;

/**
 * Reads the header of a GGUF file and checks all of it: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 *
 * @throws {GgufError} If any part is malformed, or describes data outside the file.
 */
export function readHeader(source: ByteSource): GgufHeader {
  const cursor = new Cursor(source);
  const version = readMagicAndVersion(cursor);
  // A tensor takes at least 33 bytes (a name of one letter, one dimension), a key 14 (one letter, one byte).
  const tensorCount = readCount(cursor, "tensor count", 33);
  const keyCount = readCount(cursor, "metadata count", 14);

  const metadata = new Map<string, GgufValue>();
  const metadataRanges = new Map<string, ByteRange>();
  for (let i = 0; i < keyCount; i++) {
    const { offset } = cursor;
    const key = readMetadata(cursor, i, metadata);
    metadataRanges.set(key, { offset, byteLength: cursor.offset - offset });
  }

  const alignment = readAlignment(metadata);
  const relative = new Map<string, GgufTensor>();
  const places = new Map<string, number>();
  for (let i = 0; i < tensorCount; i++) {
    const place = cursor.offset;
    const tensor = readTensor(cursor, i, alignment);
    if (relative.has(tensor.name)) {
      throw new GgufError(
        `Cannot read tensor ${quoted(tensor.name)} at byte ${place}: there are two of that name`,
        {
          offset: place,
          field: tensor.name,
        },
      );
    }
    relative.set(tensor.name, tensor);
    places.set(tensor.name, place);
  }

  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of relative.values()) {
    const offset = dataStart + tensor.offset;
    if (offset + tensor.byteLength > source.size) {
      const range = `bytes ${offset} to ${offset + tensor.byteLength}`;
      const end = `the file has only ${source.size}; is the download complete?`;
      throw new GgufError(`Cannot use tensor ${quoted(tensor.name)}: its data are ${range}, and ${end}`, {
        offset: places.get(tensor.name),
        field: tensor.name,
      });
    }
    tensors.set(tensor.name, { ...tensor, offset });
  }
  checkOverlaps(tensors, places);
  return { version, metadata, metadataRanges, tensors, fileSize: source.size };
}

function readMagicAndVersion(cursor: Cursor): number {
  const magic = cursor.u32("magic");
  if (magic !== MAGIC) {
    const found = `its first four bytes are 0x${magic.toString(16).padStart(8, "0")}, not "GGUF"`;
    throw new GgufError(`Cannot read the file: it is not a GGUF file (${found})`, {
      offset: 0,
      field: "magic",
    });
  }
  const version = cursor.u32("version");
  if (version === 2 || version === 3) return version;
  // The order of bytes is not marked in the file: a version that is small only when swapped betrays a big-endian one.
  const isBigEndian = (version & 0xffff) === 0 && version !== 0;
  const what = isBigEndian ? "it is big-endian" : `its version is ${version}`;
  const known = "only little-endian files of versions 2 and 3 are supported; convert the model again";
  throw new GgufError(`Cannot read the file: ${what}, and ${known}`, { offset: 4, field: "version" });
}

function readCount(cursor: Cursor, field: string, leastBytes: number): number {
  const offset = cursor.offset;
  const count = cursor.size(field);
  if (count * leastBytes > cursor.remaining) {
    const there = `${count} entries do not fit in the ${cursor.remaining} bytes that follow`;
    throw new GgufError(`Cannot read the ${field} at byte ${offset}: ${there}`, { offset, field });
  }
  return count;
}

/** Reads a key and its value into `metadata`; returns the key. */
function readMetadata(cursor: Cursor, index: number, metadata: Map<string, GgufValue>): string {
  const offset = cursor.offset;
  const key = cursor.string(`key ${index}`);
  if (key.length === 0 || key.length > MAX_KEY_LENGTH || metadata.has(key)) {
    const fault = metadata.has(key)
      ? "it is there twice"
      : `its length is ${key.length}, not 1 to ${MAX_KEY_LENGTH}`;
    throw new GgufError(`Cannot read key ${index} ${quoted(key)} at byte ${offset}: ${fault}`, {
      offset,
      field: key === "" ? `key ${index}` : key,
    });
  }
  metadata.set(key, readTypedValue(cursor, key));
  return key;
}

function readAlignment(metadata: ReadonlyMap<string, GgufValue>): number {
  const field = "general.alignment";
  const alignment = metadata.get(field) ?? DEFAULT_ALIGNMENT;
  const isValid =
    typeof alignment === "number" &&
    alignment >= 8 &&
    alignment <= 2 ** 30 &&
    Number.isInteger(Math.log2(alignment));
  if (isValid) return alignment;
  const found = typeof alignment === "object" ? "an array" : alignment;
  throw new GgufError(`Cannot read the tensors: ${field} is ${found}, not a power of two of at least 8`, {
    field,
  });
}

/** Reads one tensor's description. Its offset is still relative to the start of the data, which is not known yet. */
function readTensor(cursor: Cursor, index: number, alignment: number): GgufTensor {
  const offset = cursor.offset;
  const name = cursor.string(`name of tensor ${index}`);
  const fail = (fault: string): GgufError =>
    new GgufError(`Cannot read tensor ${quoted(name)} at byte ${offset}: ${fault}`, {
      offset,
      field: name === "" ? `name of tensor ${index}` : name,
    });
  if (name.length === 0 || name.length > MAX_TENSOR_NAME_LENGTH) {
    throw fail(`its name has ${name.length} characters, not 1 to ${MAX_TENSOR_NAME_LENGTH}`);
  }

  const dimensions = cursor.u32(`dimension count of ${name}`);
  if (dimensions === 0 || dimensions > MAX_DIMENSIONS)
    throw fail(`it has ${dimensions} dimensions, not 1 to 4`);
  const shape: number[] = [];
  let elements = 1;
  for (let i = 0; i < dimensions; i++) {
    const length = cursor.size(`dimension ${i} of ${name}`);
    if (length === 0) throw fail(`its dimension ${i} is 0`);
    shape.push(length);
    elements *= length;
  }

  const typeId = cursor.u32(`type of ${name}`);
  const type = ggmlTypeById(typeId);
  if (type === undefined) {
    throw fail(`its element type ${typeId} is unknown; known types are ${ggmlTypes.join(", ")}`);
  }
  const { blockSize, blockBytes } = ggmlLayout(type);
  const rowLength = shape[0] ?? 0;
  if (rowLength % blockSize !== 0) {
    throw fail(
      `its rows have ${rowLength} elements, which is no multiple of the ${blockSize} in a block of ${type}`,
    );
  }
  const byteLength = (elements / blockSize) * blockBytes;
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(byteLength)) {
    throw fail(`its shape [${shape.join(", ")}] is larger than any file`);
  }

  const relativeOffset = cursor.size(`offset of ${name}`);
  if (relativeOffset % alignment !== 0) {
    throw fail(`its offset ${relativeOffset} is no multiple of the alignment, ${alignment}`);
  }
  return { name, type, shape, part: 0, offset: relativeOffset, byteLength };
}

function checkOverlaps(tensors: ReadonlyMap<string, GgufTensor>, places: ReadonlyMap<string, number>): void {
  let previous: GgufTensor | undefined;
  for (const tensor of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    if (previous !== undefined && tensor.offset < previous.offset + previous.byteLength) {
      const both = `${quoted(previous.name)} and ${quoted(tensor.name)}`;
      throw new GgufError(`Cannot use tensors ${both}: their data overlap at byte ${tensor.offset}`, {
        offset: places.get(tensor.name),
        field: tensor.name,
      });
    }
    previous = tensor;
  }
}
