/**
 * Checks of arguments that the bridge cannot make, because the value would be changed on its way there: what is no u32
 * is truncated, what is no number is converted. All other checks are the bridge's.
 */

function shown(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : String(value);
}

/**
 * Returns `value` where it is a number; the bridge checks sizes and offsets for whether they make sense.
 *
 * @throws {TypeError} for anything else.
 */
export function requireNumber(value: number, name: string): number {
  if (typeof value !== "number")
    throw new TypeError(`Cannot use ${shown(value)} as ${name}: it is no number`);
  return value;
}

/**
 * Returns `value` where it is a whole number in [0, 2^32).
 *
 * @throws {TypeError} for anything but a number.
 * @throws {RangeError} for a number that a u32 cannot hold.
 */
export function requireU32(value: number, name: string): number {
  if (requireNumber(value, name) >>> 0 !== value) {
    throw new RangeError(`Cannot use ${value} as ${name}: it has to be a whole number from 0 to 4294967295`);
  }
  return value;
}

/**
 * Returns `value` where it is a whole number that a double holds exactly, 0 or more.
 *
 * @throws {TypeError} for anything but a number.
 * @throws {RangeError} for a negative, fractional or larger number.
 */
export function requireSize(value: number, name: string): number {
  if (!Number.isSafeInteger(requireNumber(value, name)) || value < 0) {
    throw new RangeError(`Cannot use ${value} as ${name}: it has to be a whole number from 0 to 2^53 - 1`);
  }
  return value;
}

/**
 * Returns the bytes that a view covers.
 *
 * @throws {TypeError} for anything but a view of an ArrayBuffer, or one whose memory is gone.
 */
export function requireBytes(view: ArrayBufferView, name: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) {
    throw new TypeError(`Cannot use ${shown(view)} as ${name}: it has to be a typed array or a DataView`);
  }
  if (view.buffer instanceof ArrayBuffer && view.buffer.detached) {
    throw new TypeError(`Cannot use ${name}: its memory is detached (transferred, or of a disposed buffer)`);
  }
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

const encoder: TextEncoder = new TextEncoder();

/**
 * Encodes text with a final NUL, as C wants it.
 *
 * @throws {TypeError} for text that has a NUL itself, where C would see its end.
 */
export function cString(text: string, name: string): Uint8Array {
  if (typeof text !== "string") throw new TypeError(`Cannot use ${shown(text)} as ${name}: it is no text`);
  if (text.includes("\0")) throw new TypeError(`Cannot use text with a NUL as ${name}`);
  return encoder.encode(`${text}\0`);
}
