/**
 * The loader for bun:ffi. The module is asked for when the library is opened and not imported, so that importing the
 * package works in every tool and runtime.
 */
import { abi, type NativeType, type Symbols } from "./abi.ts";
import type { Completions, HostLibrary } from "./host.ts";

type BunType = "u32" | "f64" | "ptr";
type Declaration = { readonly returns: BunType; readonly args: readonly BunType[] };

/** What is used here of bun:ffi: its own types are not there when this is compiled for another runtime. */
type BunFfi = {
  dlopen(path: string, functions: Readonly<Record<string, Declaration>>): { readonly symbols: object };
  readonly JSCallback: new (
    listener: (value: number) => void,
    definition: { readonly args: readonly ["u32"]; readonly returns: "void"; readonly threadsafe: true },
  ) => { readonly ptr: number | null; close(): void };
  toArrayBuffer(pointer: number, offset: number, byteLength: number): ArrayBuffer;
  ptr(view: ArrayBufferView): number;
};

const bunTypes: Readonly<Record<NativeType, BunType>> = {
  u32: "u32",
  f64: "f64",
  in: "ptr",
  out: "ptr",
  callback: "ptr",
  pointer: "ptr",
};

/** Timers count to 2^31 - 1 ms, about 25 days; what holds the event loop repeats. */
const longestInterval = 2 ** 31 - 1;

/** Whether this runtime has bun:ffi. */
export function hasBunFfi(): boolean {
  return typeof process !== "undefined" && process.versions.bun !== undefined;
}

/**
 * Opens the library at `path` and binds every function of the ABI.
 *
 * @throws whatever the runtime throws for a file that is no library, or lacks a function.
 */
export function openWithBun(path: string): HostLibrary {
  const ffi = process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
  const declarations = Object.fromEntries(
    Object.entries(abi).map(([name, [returns, ...args]]) => [
      name,
      { returns: bunTypes[returns], args: args.map((type) => bunTypes[type]) },
    ]),
  );
  // The library stays open for the life of the process: threads of the bridge run its code.
  const symbols = ffi.dlopen(path, declarations).symbols as Symbols;
  return {
    symbols,
    completions: (listener) => bunCompletions(ffi, listener),
    viewOf: (pointer, byteLength) => ffi.toArrayBuffer(pointer, 0, byteLength),
    addressOf: (view) => ffi.ptr(view),
  };
}

/**
 * Completions as calls from the bridge's threads: a call posts its number to the event loop and returns at once. Bun does
 * not wait for such calls: a timer keeps the event loop open while some are expected.
 */
function bunCompletions(ffi: BunFfi, listener: (value: number) => void): Completions {
  let expected = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  const arrived = (value: number): void => {
    try {
      listener(value);
    } finally {
      if (--expected === 0) timer?.unref();
    }
  };
  const callback = new ffi.JSCallback(arrived, { args: ["u32"], returns: "void", threadsafe: true });
  if (callback.ptr === null) throw new TypeError("Cannot make a native callback");
  return {
    callback: callback.ptr,
    expect(): void {
      if (expected++ > 0) return;
      if (timer === undefined) timer = setInterval(() => {}, longestInterval);
      else timer.ref();
    },
    close(): void {
      clearInterval(timer);
      callback.close();
    },
  };
}
