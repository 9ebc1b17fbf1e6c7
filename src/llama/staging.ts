/** The way of a file's bytes into memory that the CPU does not see: through a ring of small buffers that it does. */
import { type Buffer, type Device, ProgramBuilder } from "../runtime/index.ts";

/**
 * Most bytes of each staging buffer: long enough that what a copy costs JavaScript (60 microseconds) does not count. All of
 * them together fit in a processor's cache; and pinning memory takes 0.4 ms a megabyte.
 */
export const STAGING_BYTES: number = 4 * 2 ** 20;

/**
 * Most staging buffers. Each is filled by a thread of the runtime's, which reads 8 GB/s from the page cache: eight of them
 * kept a bus of 55 GB/s busy at 33 GB/s, and more did no better (test/bench/results/h200).
 */
export const STAGING_BUFFERS = 8;

/** Copies on the device are of whole words (Metal's rule). */
const WORD = 4;

type Stage = {
  readonly buffer: Buffer;
  /** What filling it or the copy out of it failed with, once that is over; `undefined` if it did not. */
  settled: Promise<unknown>;
};

/**
 * Shared buffers that take turns: while some are filled, the device copies from others. Dispose it (`await using`) after
 * use, whether `finish` was reached or not: what is under way ends first.
 */
export class Staging implements AsyncDisposable {
  /** Bytes that one `write` takes at most. */
  readonly byteLength: number;
  readonly #device: Device;
  readonly #stages: Stage[] = [];
  #turn = 0;

  /** @param longest The most bytes that will be written in one go; less is used where it is much. */
  constructor(device: Device, longest: number) {
    this.#device = device;
    const most = Math.min(STAGING_BYTES, Math.floor(device.info.maxBufferLength / WORD) * WORD);
    this.byteLength = Math.min(most, Math.ceil(longest / WORD) * WORD);
  }

  /**
   * Has bytes written into a buffer, at most `byteLength`. They are on their way when this returns.
   *
   * @param target At least `offset + length` bytes, in whole words.
   * @param offset A multiple of 4.
   * @param fill Writes the bytes into the memory that it is given, all of it, while others do the same.
   * @throws {BridgeError} If there is no memory, or an earlier write failed.
   */
  async write(
    target: Buffer,
    offset: number,
    length: number,
    fill: (into: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const stage = this.#next();
    throwIfFailed(await stage.settled);
    const written = fill(stage.buffer.bytes(0, length)).then(() =>
      this.#copy(stage.buffer, target, offset, Math.ceil(length / WORD) * WORD),
    );
    // Handled at once: nobody may be waiting when it fails.
    stage.settled = written.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** Resolves when all bytes are where they belong. @throws {unknown} What filling or copying failed with. */
  async finish(): Promise<void> {
    for (const { settled } of this.#stages) throwIfFailed(await settled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { settled } of this.#stages) await settled;
    for (const { buffer } of this.#stages) buffer.dispose();
  }

  /** The stage whose turn it is; made when it is needed first, as a small model needs few. */
  #next(): Stage {
    const index = this.#turn;
    this.#turn = (index + 1) % STAGING_BUFFERS;
    if (index === this.#stages.length) {
      const buffer = this.#device.buffer(this.byteLength, { label: `staging ${index}` });
      this.#stages.push({ buffer, settled: Promise.resolve(undefined) });
    }
    return this.#stages[index];
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
