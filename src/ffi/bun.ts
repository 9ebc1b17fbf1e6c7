/**
 * The loader for bun:ffi. The module is asked for when the library is opened and not imported, so that importing the
 * package works in every tool and runtime.
 */
import { abi, type NativeType, type Symbols } from "./abi.ts";
import type { HostLibrary, NativeCallback } from "./host.ts";

type BunFfi = typeof import("bun:ffi");
type BunType = "u32" | "f64" | "ptr";

const bunTypes: Readonly<Record<NativeType, BunType>> = {
  u32: "u32",
  f64: "f64",
  in: "ptr",
  out: "ptr",
  callback: "ptr",
  pointer: "ptr",
};

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
  const ffi = process.getBuiltinModule("bun:ffi") as BunFfi;
  const declarations = Object.fromEntries(
    Object.entries(abi).map(([name, [returns, ...args]]) => [
      name,
      { returns: bunTypes[returns], args: args.map((type) => bunTypes[type]) },
    ]),
  );
  // The library stays open for the life of the process: threads of the bridge run its code.
  const symbols = ffi.dlopen(path, declarations).symbols as unknown as Symbols;
  return {
    symbols,
    callback(listener: (value: number) => void): NativeCallback {
      const callback = new ffi.JSCallback(listener, { args: ["u32"], returns: "void", threadsafe: true });
      if (callback.ptr === null) throw new TypeError("Cannot make a native callback");
      return { pointer: callback.ptr, close: () => callback.close() };
    },
    viewOf: (pointer, byteLength) => ffi.toArrayBuffer(pointer as import("bun:ffi").Pointer, 0, byteLength),
    addressOf: (view) => ffi.ptr(view as NodeJS.TypedArray),
  };
}
