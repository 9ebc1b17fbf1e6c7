/** What a JavaScript runtime has to offer so that the bridge can be used from it. One file per runtime implements it. */
import type { Handle, Symbols } from "./abi.ts";

/** How the completions of one queue reach JavaScript: one call of a listener for each, on a turn of the event loop. */
export interface Completions {
  /** What to give to bm_queue_new: a C function, or null where completions reach JavaScript by another way. */
  readonly callback: number | null;
  /**
   * Says that the queue has accepted a submission: the listener will be called once for it, with what bm_completed
   * brings. Until then the event loop is held open.
   */
  expect(queue: Handle, ticket: number): void;
  /**
   * Frees what it needs. Only once every call that was expected has arrived, and not from within one: the runtime posts
   * calls to the event loop, and one that finds its callback closed is undefined behaviour.
   */
  close(): void;
}

/** The library as opened by one runtime. */
export interface HostLibrary {
  readonly symbols: Symbols;
  /** Prepares for the completions of a queue. It does not keep the process alive by itself. */
  completions(listener: (value: number) => void): Completions;
  /** An ArrayBuffer over native memory, without a copy and without owning it. At most 4 GiB. */
  viewOf(pointer: number, byteLength: number): ArrayBuffer;
  /** Where the view's first byte is. 0 for a view of nothing, which is nowhere. */
  addressOf(view: ArrayBufferView): number;
}
