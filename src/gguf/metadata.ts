import type { Cursor } from "./cursor.ts";
import { GgufError, quoted } from "./errors.ts";

/**
 * An array in the metadata. Numbers come as the typed array of their kind, which is compact for vocabularies of 100,000
 * scores; strings, booleans and nested arrays as plain arrays.
 */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly string[]
  | readonly boolean[]
  | readonly GgufArray[];

/** A metadata value. A 64-bit integer is a number if it is exact as one, else a bigint. */
export type GgufValue = string | number | bigint | boolean | GgufArray;

/** Numbers of the value types in files. */
const U8 = 0;
const I8 = 1;
const U16 = 2;
const I16 = 3;
const U32 = 4;
const I32 = 5;
const F32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const U64 = 10;
const I64 = 11;
const F64 = 12;

/** Fewest bytes that one element of each value type takes in a file, by the type's number. */
const LEAST_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

const MAX_NESTING = 4;

/** Reads the number of a value type, then a value of that type. `field` names the key for messages. */
export function readTypedValue(cursor: Cursor, field: string): GgufValue {
  const type = readType(cursor, field);
  return type === ARRAY ? readArray(cursor, field, 1) : readScalar(cursor, type, field);
}

function readType(cursor: Cursor, field: string): number {
  const offset = cursor.offset;
  const type = cursor.u32(`value type of ${field}`);
  if (type >= LEAST_BYTES.length) {
    throw new GgufError(`Cannot read ${field} at byte ${offset}: ${type} is not a metadata value type`, {
      offset,
      field,
    });
  }
  return type;
}

function readScalar(cursor: Cursor, type: number, field: string): GgufValue {
  switch (type) {
    case U8:
      return cursor.u8(field);
    case I8:
      return cursor.i8(field);
    case U16:
      return cursor.u16(field);
    case I16:
      return cursor.i16(field);
    case U32:
      return cursor.u32(field);
    case I32:
      return cursor.i32(field);
    case F32:
      return cursor.f32(field);
    case BOOL:
      return readBoolean(cursor, field);
    case STRING:
      return cursor.string(field);
    case U64:
      return exactInteger(cursor.u64(field));
    case I64:
      return exactInteger(cursor.i64(field));
    default:
      return cursor.f64(field);
  }
}

function exactInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readBoolean(cursor: Cursor, field: string): boolean {
  const offset = cursor.offset;
  const byte = cursor.u8(field);
  if (byte > 1) {
    throw new GgufError(`Cannot read ${field} at byte ${offset}: a boolean is 0 or 1, not ${byte}`, {
      offset,
      field,
    });
  }
  return byte === 1;
}

function readArray(cursor: Cursor, field: string, depth: number): GgufArray {
  const offset = cursor.offset;
  const type = readType(cursor, `elements of ${field}`);
  const count = cursor.size(`element count of ${field}`);
  const least = count * (LEAST_BYTES[type] ?? 1);
  if (least > cursor.remaining) {
    const there = `the file has ${cursor.remaining} more`;
    throw new GgufError(
      `Cannot read ${field} at byte ${offset}: ${count} elements take at least ${least} bytes, and ${there}`,
      { offset, field },
    );
  }
  switch (type) {
    case U8:
      return new Uint8Array(cursor.copy(count, 1, field));
    case I8:
      return new Int8Array(cursor.copy(count, 1, field));
    case U16:
      return new Uint16Array(cursor.copy(count, 2, field));
    case I16:
      return new Int16Array(cursor.copy(count, 2, field));
    case U32:
      return new Uint32Array(cursor.copy(count, 4, field));
    case I32:
      return new Int32Array(cursor.copy(count, 4, field));
    case F32:
      return new Float32Array(cursor.copy(count, 4, field));
    case F64:
      return new Float64Array(cursor.copy(count, 8, field));
    case U64:
      return new BigUint64Array(cursor.copy(count, 8, field));
    case I64:
      return new BigInt64Array(cursor.copy(count, 8, field));
    case STRING:
      return cursor.strings(count, field);
    case BOOL:
      return readMany(count, () => readBoolean(cursor, field));
    default:
      if (depth === MAX_NESTING) {
        const limit = `arrays are nested more than ${MAX_NESTING} deep`;
        throw new GgufError(`Cannot read ${field} at byte ${offset}: ${limit}`, { offset, field });
      }
      return readMany(count, () => readArray(cursor, field, depth + 1));
  }
}

/** Grows the array as elements are read, so that a count alone reserves nothing. */
function readMany<T>(count: number, read: () => T): T[] {
  const values: T[] = [];
  for (let i = 0; i < count; i++) values.push(read());
  return values;
}

/** Returns what kind of value this is, in words, for messages. */
export function kindOf(value: GgufValue): string {
  if (typeof value === "string") return `the string ${quoted(value)}`;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return `the boolean ${value}`;
  const first = value[0];
  const elements =
    first === undefined ? "elements" : `${typeof first === "bigint" ? "number" : typeof first}s`;
  return `an array of ${value.length} ${elements}`;
}
