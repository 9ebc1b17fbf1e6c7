/** What a JavaScript runtime has to offer so that the bridge can be used from it. One file per runtime implements it. */
import type { Symbols } from "./abi.ts";

/** A C function pointer that calls into JavaScript, from any thread, on a turn of this thread's event loop. */
export interface NativeCallback {
  /** The address to hand to the bridge. */
  readonly pointer: number;
  /**
   * Frees it. Only once every call that was made has arrived: the runtime posts calls to the event loop, and one that
   * finds its callback closed is undefined behaviour.
   */
  close(): void;
}

/** The library as opened by one runtime. */
export interface HostLibrary {
  readonly symbols: Symbols;
  /** Makes a C function `void (*)(uint32_t)` of `listener`. It does not keep the process alive. */
  callback(listener: (value: number) => void): NativeCallback;
  /** An ArrayBuffer over native memory, without a copy and without owning it. At most 4 GiB. */
  viewOf(pointer: number, byteLength: number): ArrayBuffer;
  /** Where the view's first byte is. */
  addressOf(view: ArrayBufferView): number;
}
