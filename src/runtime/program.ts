/** A validated batch of work, run many times. `builder.ts` makes them. */
import type { Bridge, Handle } from "../ffi/index.ts";
import { Owned } from "./owned.ts";

/** What a program consists of. */
export interface ProgramCounts {
  /** Dynamic words that every run has to give. */
  readonly wordCount: number;
  readonly dispatchCount: number;
  readonly barrierCount: number;
  /** Bytes of its encoded form. */
  readonly byteLength: number;
}

/**
 * A batch of dispatches, copies, fills and barriers that the bridge has checked and keeps, with all that it uses: its
 * buffers and pipelines may be disposed while it is in use. Run it through a queue of its device.
 */
export class Program extends Owned implements ProgramCounts {
  readonly wordCount: number;
  readonly dispatchCount: number;
  readonly barrierCount: number;
  readonly byteLength: number;
  /** Memory of JavaScript's that wrapped buffers of the program lie in: it must live as long as the program. */
  protected readonly keeps: readonly object[];

  /** @internal Use `ProgramBuilder.build()`. */
  constructor(
    bridge: Bridge,
    handle: Handle,
    label: string,
    counts: ProgramCounts,
    keeps: readonly object[],
  ) {
    super(bridge, handle, label);
    this.wordCount = counts.wordCount;
    this.dispatchCount = counts.dispatchCount;
    this.barrierCount = counts.barrierCount;
    this.byteLength = counts.byteLength;
    this.keeps = keeps;
  }
}
