/** The loader for Deno.dlopen. It needs `--allow-ffi`. */
import { abi, type Handle, type NativeType, type Symbols, ticketFailed } from "./abi.ts";
import type { DenoFunction, DenoNamespace, DenoPointer } from "./deno_namespace.ts";
import type { Completions, HostLibrary } from "./host.ts";

/** Deno gives NULL for a `buffer` that is null or has no bytes, as the C ABI takes it. */
const denoTypes: Readonly<Record<NativeType, string>> = {
  u32: "u32",
  f64: "f64",
  in: "buffer",
  out: "buffer",
  callback: "pointer",
  pointer: "pointer",
};

/** bm_queue_wait once more, under a name of its own: as a promise, waiting on a thread of Deno's. */
const laterWait = "bm_queue_wait_later";
type LaterWait = (queue: Handle, ticket: number) => Promise<number>;

type NativeCall = (...args: readonly unknown[]) => unknown;

/**
 * Opens the library at `path` and binds every function of the ABI.
 *
 * @throws whatever Deno throws for a file that is no library, or lacks a function, or where `--allow-ffi` is missing.
 */
export function openWithDeno(deno: DenoNamespace, path: string): HostLibrary {
  const declarations: Record<string, DenoFunction> = {};
  for (const [name, [returns, ...args]] of Object.entries(abi)) {
    declarations[name] = { parameters: args.map((type) => denoTypes[type]), result: denoTypes[returns] };
  }
  declarations[laterWait] = { ...declarations.bm_queue_wait, name: "bm_queue_wait", nonblocking: true };
  // The library stays open for the life of the process: threads of the bridge run its code.
  const native = deno.dlopen(path, declarations).symbols;
  const symbols = Object.fromEntries(
    Object.entries(abi).map(([name, [returns]]) => [
      name,
      returns === "pointer" ? withAddress(deno, native[name] as NativeCall) : native[name],
    ]),
  );
  return {
    symbols: symbols as unknown as Symbols,
    completions: (listener) => denoCompletions(native[laterWait] as LaterWait, listener),
    viewOf(pointer, byteLength): ArrayBuffer {
      const start = deno.UnsafePointer.create(BigInt(pointer));
      if (start === null) throw new TypeError("Cannot view memory at NULL");
      return deno.UnsafePointerView.getArrayBuffer(start, byteLength);
    },
    addressOf: (view) => Number(deno.UnsafePointer.value(deno.UnsafePointer.of(view))),
  };
}

/** A function of the library that returns a pointer, with its address as a number: addresses are below 2^53. */
function withAddress(deno: DenoNamespace, call: NativeCall): NativeCall {
  return (...args) => {
    const pointer = call(...args) as DenoPointer | null;
    return pointer === null ? null : Number(deno.UnsafePointer.value(pointer));
  };
}

/**
 * Completions by waiting for them, one after the other, on a thread of Deno's. A callback will not do: Deno keeps the
 * thread that calls waiting until JavaScript has taken the call. JavaScript that waits for that thread, by running a
 * program or releasing the queue, would never go on. A wait under way holds the event loop open.
 */
function denoCompletions(waitFor: LaterWait, listener: (value: number) => void): Completions {
  const tickets: number[] = [];
  const listen = async (queue: Handle): Promise<void> => {
    for (let ticket = tickets[0]; ticket !== undefined; ticket = tickets[0]) {
      const status = await waitFor(queue, ticket);
      // It leaves the list last: a listener may submit more, and then this loop has to go on with it.
      try {
        listener(status === 0 ? ticket : (ticket | ticketFailed) >>> 0);
      } finally {
        tickets.shift();
      }
    }
  };
  return {
    callback: null,
    expect(queue, ticket): void {
      // The loop above is on its way while there are tickets.
      if (tickets.push(ticket) === 1) void listen(queue);
    },
    close(): void {},
  };
}
