/** JavaScript views of a buffer's native memory that end when the buffer does. */
import type { Bridge } from "../ffi/index.ts";

/** The longest ArrayBuffer over native memory that Bun makes. */
export const longestView: number = 2 ** 32;

/** Windows into longer buffers begin at multiples of this, so that a few of them serve every view up to 2 GiB. */
const windowStep = 2 ** 31;

/**
 * ArrayBuffers over one piece of native memory. They are made once, kept, and detached together: a typed array of a
 * detached ArrayBuffer has length 0 and reads nothing, so that using a view too late never touches freed memory.
 */
export class NativeViews {
  readonly #bridge: Bridge;
  readonly #pointer: number;
  readonly #byteLength: number;
  readonly #windows = new Map<number, ArrayBuffer>();

  constructor(bridge: Bridge, pointer: number, byteLength: number) {
    this.#bridge = bridge;
    this.#pointer = pointer;
    this.#byteLength = byteLength;
  }

  /** Returns an ArrayBuffer that has bytes [offset, offset + length), and where in it they begin. */
  window(offset: number, length: number): { readonly memory: ArrayBuffer; readonly offset: number } {
    const step = Math.floor(offset / windowStep) * windowStep;
    const start = offset + length <= step + longestView ? step : offset;
    let memory = this.#windows.get(start);
    // Detached already: somebody transferred it.
    if (memory === undefined || memory.detached) {
      memory = this.#bridge.viewOf(this.#pointer + start, Math.min(longestView, this.#byteLength - start));
      this.#windows.set(start, memory);
    }
    return { memory, offset: offset - start };
  }

  /** Ends all views. */
  detach(): void {
    for (const memory of this.#windows.values()) {
      if (!memory.detached) memory.transfer(0);
    }
    this.#windows.clear();
  }
}
