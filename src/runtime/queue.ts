/** Where work runs: in order, synchronously or with a promise. */
import { type Bridge, type Handle, maxRuns } from "../ffi/index.ts";
import { Owned } from "./owned.ts";
import type { Program } from "./program.ts";
import { Submissions } from "./submissions.ts";

/**
 * A queue of a device: what is given to it starts and completes in order. Make one with `Device.createQueue()`, or use
 * the device's own.
 *
 * Disposing it while work is pending: what the bridge has already is waited for (this blocks) and settles as it turns
 * out; submissions that still waited for room are rejected with a `ReleasedError`. The same happens when the program or
 * the Worker exits. But do not `terminate()` a Worker whose submissions are in flight: its JavaScript is not told, and
 * in Bun the native completion would call into what is gone. Let it end, or call `process.exit()` in it.
 */
export class Queue extends Owned {
  readonly #submissions: Submissions;

  /** @internal Use `Device.createQueue()`. */
  static create(bridge: Bridge, device: Handle, label: string): Queue {
    const submissions = new Submissions(bridge);
    const handle = bridge.symbols.bm_queue_new(device, submissions.callback);
    if (handle === 0) {
      submissions.released();
      throw bridge.failure(`Cannot make a ${label}`);
    }
    submissions.attach(handle);
    return new Queue(bridge, handle, label, submissions);
  }

  private constructor(bridge: Bridge, handle: Handle, label: string, submissions: Submissions) {
    super(bridge, handle, label, () => submissions.released());
    this.#submissions = submissions;
  }

  /**
   * Runs a program and waits for it, blocking this thread: one native call. What was submitted before runs before.
   *
   * @param words The program's dynamic words, exactly as many as it declares. They are copied.
   * @throws {BridgeError} `execution` where the device failed.
   */
  run(program: Program, words?: Uint32Array): void {
    const given = requireWords(program, words, 1);
    const queue = this.orderedHandle();
    if (this.bridge.symbols.bm_program_run(queue, program.handle, given, given?.length ?? 0) !== 0) {
      throw this.bridge.failure(`Cannot run ${program.label}`);
    }
  }

  /**
   * Submits a program: one native call, which does not wait for the device. At most 64 submissions are in flight at the
   * device; more wait here, first come, first served. The event loop turns on, and is held open until all is done.
   *
   * @param words The program's dynamic words, exactly as many as it declares. They are copied at once.
   * @param runs How often the program runs, at most 64 times, one after the other: then `words` are those of the first run,
   *   of the second and so on. All are one submission, and the event loop hears once of them. Without dynamic words: once.
   * @returns a promise that resolves when the program has completed, and rejects where it could not be run, or failed.
   */
  submit(program: Program, words?: Uint32Array, runs: number = 1): Promise<void> {
    try {
      const given = requireWords(program, words, runs);
      // Touching both handles refuses what is disposed here and now.
      if (this.handle === 0 || program.handle === 0) throw new TypeError("Cannot submit with a handle of 0");
      return this.#submissions.submit(this, program, given);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves when everything submitted so far has settled, whether it completed or failed. Never rejects. */
  idle(): Promise<void> {
    return this.#submissions.idle();
  }

  /** Seconds that the device took for the submission that completed last; NaN where there was none, or it is unknown. */
  get gpuSeconds(): number {
    return this.bridge.symbols.bm_queue_gpu_seconds(this.handle, 0);
  }

  /**
   * @internal The handle for a native call that has to come after all that was submitted before: hands over what waits
   * for room first, which may block.
   */
  orderedHandle(): Handle {
    const handle = this.handle;
    this.#submissions.flush();
    return handle;
  }

  protected override releasing(): void {
    this.#submissions.settle(this.label);
  }
}

/** @throws {RangeError} Unless one submission can run the program so often. */
export function requireRuns(program: Program, runs: number): void {
  const most = program.wordCount === 0 ? 1 : maxRuns; // runs are counted by their words
  if (Number.isInteger(runs) && runs >= 1 && runs <= most) return;
  const why =
    most === 1 ? "a program without dynamic words runs once" : `from 1 to ${most} times are possible`;
  throw new RangeError(`Cannot run ${program.label} ${runs} times in one submission: ${why}`);
}

function requireWords(program: Program, words: Uint32Array | undefined, runs: number): Uint32Array | null {
  if (words !== undefined && !(words instanceof Uint32Array)) {
    throw new TypeError(`Cannot run ${program.label}: its dynamic words have to be a Uint32Array`);
  }
  requireRuns(program, runs);
  const count = words?.length ?? 0;
  if (count !== program.wordCount * runs) {
    const each = runs === 1 ? "" : ` for ${runs} runs`;
    throw new RangeError(
      `Cannot run ${program.label} with ${count} dynamic words${each}: it declares ${program.wordCount}`,
    );
  }
  return count === 0 ? null : (words ?? null);
}
