/**
 * What the package uses of Deno's namespace, as far as it uses it: Deno's own types are not there when this is compiled
 * for Bun.
 */

/** A native address; Deno keeps it opaque. */
export type DenoPointer = { readonly denoPointer: unique symbol };

/** What a function of a library takes and returns. */
export interface DenoFunction {
  /** The symbol's name, where the key is another. */
  readonly name?: string;
  readonly parameters: readonly string[];
  readonly result: string;
  /** Runs on a thread of Deno's, and gives a promise. */
  readonly nonblocking?: boolean;
}

/** `Deno`. */
export interface DenoNamespace {
  dlopen(
    path: string,
    functions: Readonly<Record<string, DenoFunction>>,
  ): { readonly symbols: Readonly<Record<string, unknown>> };
  readonly UnsafePointer: {
    create(address: bigint): DenoPointer | null;
    value(pointer: DenoPointer | null): bigint;
    of(view: ArrayBufferView): DenoPointer | null;
  };
  readonly UnsafePointerView: {
    getArrayBuffer(pointer: DenoPointer, byteLength: number): ArrayBuffer;
  };
  readonly permissions: {
    querySync(descriptor: { readonly name: "env"; readonly variable: string }): { readonly state: string };
    querySync(descriptor: { readonly name: "ffi" | "read"; readonly path: string }): {
      readonly state: string;
    };
  };
}

/** Deno's namespace; undefined in another runtime. */
export function denoNamespace(): DenoNamespace | undefined {
  return (globalThis as unknown as { readonly Deno?: DenoNamespace }).Deno;
}
