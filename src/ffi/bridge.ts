/** The native library as the rest of the package sees it: opened once per thread, when first needed. */
import { abiVersion, type Handle, type SymbolName, type Symbols } from "./abi.ts";
import { hasBunFfi, openWithBun } from "./bun.ts";
import { openWithDeno } from "./deno.ts";
import { denoNamespace } from "./deno_namespace.ts";
import { environmentVariable } from "./environment.ts";
import type { Completions, HostLibrary } from "./host.ts";
import { locateLibrary } from "./locate.ts";
import { loadAdvice } from "./platform.ts";
import { BridgeError, failure } from "./status.ts";
import { beforeEnd, isWorker } from "./thread.ts";
import { observeCalls, Trace, traceMode } from "./trace.ts";

/** Native calls as they are counted; `stop()` ends it. */
export interface CallCount {
  /** Calls so far by function. A function that was not called is not in it. */
  readonly calls: ReadonlyMap<SymbolName, number>;
  /** All calls so far. */
  readonly total: number;
  /** Stops counting. Harmless when called twice. */
  stop(): void;
  [Symbol.dispose](): void;
}

/** The loaded library. There is one per thread of JavaScript; see `loadBridge`. */
export class Bridge {
  /** Where the library was found. */
  readonly path: string;
  readonly #host: HostLibrary;
  /** The functions when nobody counts: the library's own, or those that BUN_METAL_TRACE has wrapped. */
  readonly #plain: Symbols;
  readonly #counts = new Set<Map<SymbolName, number>>();
  readonly #exitActions = new Set<() => void>();
  /** What a Worker holds, to be released when it ends. The main thread's goes with the process. */
  readonly #held: Set<Handle> | undefined = isWorker() ? new Set() : undefined;
  #listensToEnd = false;
  #hasWarned = false;
  #symbols: Symbols;

  constructor(path: string, host: HostLibrary) {
    this.path = path;
    this.#host = host;
    this.#plain = traced(host.symbols);
    this.#symbols = this.#plain;
    if (this.#held !== undefined) this.#listenToEnd();
  }

  /** The functions of the C ABI. Read it anew for each call: counting replaces them. */
  get symbols(): Symbols {
    return this.#symbols;
  }

  /** Makes the error for the last failure. `attempt` is what could not be done: "Cannot ...". */
  failure(attempt: string): BridgeError {
    return failure(this.#symbols, attempt);
  }

  /** See `HostLibrary.completions`. */
  completions(listener: (value: number) => void): Completions {
    return this.#host.completions(listener);
  }

  /** See `HostLibrary.viewOf`. */
  viewOf(pointer: number, byteLength: number): ArrayBuffer {
    return this.#host.viewOf(pointer, byteLength);
  }

  /** See `HostLibrary.addressOf`. */
  addressOf(view: ArrayBufferView): number {
    return this.#host.addressOf(view);
  }

  /** Counts native calls on this thread until stopped. Several counts may run at once. */
  countCalls(): CallCount {
    const calls = new Map<SymbolName, number>();
    this.#counts.add(calls);
    this.#observe();
    const stop = (): void => {
      this.#counts.delete(calls);
      this.#observe();
    };
    return {
      calls,
      get total(): number {
        return calls.values().reduce((sum, count) => sum + count, 0);
      },
      stop,
      [Symbol.dispose]: stop,
    };
  }

  /**
   * Adds something to do before this thread's JavaScript ends (see `beforeEnd`), until `removeExitAction`. A thread of the bridge must not call back into a JavaScript that is gone.
   */
  addExitAction(action: () => void): void {
    this.#exitActions.add(action);
    this.#listenToEnd();
  }

  removeExitAction(action: () => void): void {
    this.#exitActions.delete(action);
  }

  /** Takes note of a handle that this thread's JavaScript owns from now on. */
  adopt(handle: Handle): void {
    this.#held?.add(handle);
  }

  /**
   * Releases a handle.
   *
   * @returns the status of bm_release.
   */
  release(handle: Handle): number {
    this.#held?.delete(handle);
    return this.#symbols.bm_release(handle);
  }

  /** Warns about a native object that was never disposed: once, and only in development. */
  warnForgotten(label: string): void {
    if (this.#hasWarned || environmentVariable("NODE_ENV") === "production") return;
    this.#hasWarned = true;
    process.emitWarning(
      `${label} was garbage collected before it was disposed. Its native memory is released now, but late: ` +
        `hold native objects with "using", or dispose them. This is said once`,
      "ForgottenObjectWarning",
    );
  }

  #listenToEnd(): void {
    if (this.#listensToEnd) return;
    this.#listensToEnd = true;
    beforeEnd(() => {
      for (const action of this.#exitActions) action();
      for (const handle of this.#held ?? []) this.#symbols.bm_release(handle);
    });
  }

  #observe(): void {
    this.#symbols =
      this.#counts.size === 0
        ? this.#plain
        : observeCalls(this.#plain, (name) => {
            for (const calls of this.#counts) calls.set(name, (calls.get(name) ?? 0) + 1);
            return undefined;
          });
  }
}

/** Wraps the functions as BUN_METAL_TRACE asks, and prints its table to standard error when the program ends. */
function traced(symbols: Symbols): Symbols {
  const mode = traceMode(environmentVariable("BUN_METAL_TRACE"));
  if (mode === undefined) return symbols;
  const trace = new Trace(mode);
  beforeEnd(() => console.error(trace.table()));
  return observeCalls(symbols, trace.observe);
}

function open(): Bridge {
  const deno = denoNamespace();
  if (deno === undefined && !hasBunFfi()) {
    throw new BridgeError(
      "unsupported",
      "Cannot open the native library: this runtime has neither bun:ffi nor Deno.dlopen; run it with Bun or Deno",
    );
  }
  const path = locateLibrary();
  let host: HostLibrary;
  try {
    host = deno === undefined ? openWithBun(path) : openWithDeno(deno, path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const advice = loadAdvice(reason);
    throw new BridgeError(
      "unsupported",
      `Cannot open the native library "${path}": ${reason}${advice === undefined ? "" : `: ${advice}`}`,
    );
  }
  const version = host.symbols.bm_abi_version();
  if (version !== abiVersion) {
    throw new BridgeError(
      "unsupported",
      `Cannot use the native library "${path}": its ABI version is ${version}, this package needs ${abiVersion}. ` +
        `Run "make build"`,
    );
  }
  return new Bridge(path, host);
}

/**
 * The one piece of module state of the package. A native library is loaded for the whole process whatever a module does,
 * so "the library" is not something that a caller could have two of; and opening it must wait for the first use,
 * because importing must do nothing. In a Worker the module, and with it this variable, is that Worker's own, while the
 * native side is shared.
 */
let loaded: Bridge | undefined;

/**
 * Returns the library, opened on the first call.
 *
 * @throws {BridgeError} `not-found` or `unsupported` where it cannot be opened. The next call tries again.
 */
export function loadBridge(): Bridge {
  loaded ??= open();
  return loaded;
}

/**
 * Counts calls of native functions on this thread until stopped; for tests, for example that a run is one.
 *
 * @example
 * ```ts
 * using count = countNativeCalls();
 * queue.run(program, words);
 * expect(Object.fromEntries(count.calls)).toEqual({ bm_program_run: 1 });
 * ```
 */
export function countNativeCalls(): CallCount {
  return loadBridge().countCalls();
}
