/** The way of a file's bytes into memory that the CPU does not see: through two small buffers that it does. */
import { type Buffer, type Device, ProgramBuilder } from "../runtime/index.ts";

/** Most bytes of each staging buffer: long enough that a copy's fixed costs do not count, little beside any model. */
export const STAGING_BYTES: number = 16 * 2 ** 20;

/** Copies on the device are of whole words (Metal's rule). */
const WORD = 4;

type Half = {
  readonly buffer: Buffer;
  /** What the copy out of it failed with, once that is over; `undefined` if it did not. */
  settled: Promise<unknown>;
};

/**
 * Two shared buffers that take turns: while the device copies from one, the other is filled. Dispose it (`await using`)
 * after use, whether `finish` was reached or not: the copies in flight end first.
 */
export class Staging implements AsyncDisposable {
  /** Bytes that one `write` takes at most. */
  readonly byteLength: number;
  readonly #device: Device;
  readonly #halves: readonly Half[];
  readonly #owned: DisposableStack;
  #turn = 0;

  /** @param longest The most bytes that will be written in one go; less is used where it is much. */
  constructor(device: Device, longest: number) {
    using owned = new DisposableStack();
    this.#device = device;
    const most = Math.min(STAGING_BYTES, Math.floor(device.info.maxBufferLength / WORD) * WORD);
    this.byteLength = Math.min(most, Math.ceil(longest / WORD) * WORD);
    this.#halves = ["staging 0", "staging 1"].map((label) => ({
      buffer: owned.use(device.buffer(this.byteLength, { label })),
      settled: Promise.resolve(undefined),
    }));
    this.#owned = owned.move();
  }

  /**
   * Has bytes written into a buffer, at most `byteLength`. They may be on their way when this returns.
   *
   * @param target At least `offset + length` bytes, in whole words.
   * @param offset A multiple of 4.
   * @param fill Writes the bytes into the memory that it is given, all of it.
   * @throws {BridgeError} If this copy cannot be started, or an earlier one failed.
   */
  async write(
    target: Buffer,
    offset: number,
    length: number,
    fill: (into: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const half = this.#halves[this.#turn];
    this.#turn = 1 - this.#turn;
    throwIfFailed(await half.settled);
    await fill(half.buffer.bytes(0, length));
    const copied = this.#copy(half.buffer, target, offset, Math.ceil(length / WORD) * WORD);
    // Handled at once: nobody may be waiting when it fails.
    half.settled = copied.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** Resolves when all bytes are where they belong. @throws {BridgeError} If a copy failed. */
  async finish(): Promise<void> {
    for (const { settled } of this.#halves) throwIfFailed(await settled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { settled } of this.#halves) await settled;
    this.#owned.dispose();
  }

  async #copy(from: Buffer, to: Buffer, offset: number, length: number): Promise<void> {
    using program = new ProgramBuilder(this.#device, { label: "staged copy" })
      .copy(from, 0, to, offset, length)
      .build();
    await this.#device.queue.submit(program);
  }
}

function throwIfFailed(error: unknown): void {
  if (error !== undefined) throw error;
}
