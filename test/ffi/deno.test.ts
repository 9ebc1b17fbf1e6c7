// The loader for Deno.dlopen against a Deno that only notes what it is told: what crosses, and when completions arrive.
import { describe, expect, test } from "bun:test";
import { setImmediate as turn } from "node:timers/promises";
import { abi } from "../../src/ffi/abi.ts";
import { openWithDeno } from "../../src/ffi/deno.ts";
import type { DenoFunction, DenoNamespace, DenoPointer } from "../../src/ffi/deno_namespace.ts";

/** An address as Deno shows it. */
function pointerAt(address: bigint): DenoPointer {
  return { address } as unknown as DenoPointer;
}

/** A wait that the library was asked for. */
type Wait = { readonly queue: number; readonly ticket: number; readonly end: (status: number) => void };

class FakeDeno {
  readonly declared = new Map<string, DenoFunction>();
  readonly waits: Wait[] = [];
  contents: DenoPointer | null = null;

  readonly namespace: DenoNamespace = {
    dlopen: (_path, functions) => {
      for (const [name, declaration] of Object.entries(functions)) this.declared.set(name, declaration);
      return {
        symbols: {
          ...Object.fromEntries(Object.keys(abi).map((name) => [name, () => 0])),
          bm_buffer_contents: () => this.contents,
          bm_queue_wait_later: (queue: number, ticket: number) =>
            new Promise<number>((end) => this.waits.push({ queue, ticket, end })),
        },
      };
    },
    UnsafePointer: {
      create: (address) => (address === 0n ? null : pointerAt(address)),
      value: (pointer) => (pointer as { readonly address: bigint } | null)?.address ?? 0n,
      of: (view) => (view.byteLength === 0 ? null : pointerAt(4096n)),
    },
    UnsafePointerView: { getArrayBuffer: (_pointer, byteLength) => new ArrayBuffer(byteLength) },
    permissions: { querySync: () => ({ state: "prompt" }) },
  };
}

describe("openWithDeno", () => {
  test("openWithDeno() declares every function of the ABI, numbers as u32 and f64, and one wait that does not block", () => {
    const fake = new FakeDeno();
    openWithDeno(fake.namespace, "library");
    const { bm_queue_wait_later, ...plain } = Object.fromEntries(fake.declared);
    expect(Object.keys(plain)).toEqual(Object.keys(abi));
    expect(plain.bm_buffer_map).toEqual({ parameters: ["u32", "buffer", "f64", "f64"], result: "u32" });
    expect(bm_queue_wait_later).toEqual({ ...plain.bm_queue_wait, name: "bm_queue_wait", nonblocking: true });
  });

  test("openWithDeno() gives addresses as numbers, and NULL as null", () => {
    const fake = new FakeDeno();
    const host = openWithDeno(fake.namespace, "library");
    expect(host.symbols.bm_buffer_contents(1)).toBeNull();
    fake.contents = pointerAt(0x7fff_0000_1234n);
    expect(host.symbols.bm_buffer_contents(1)).toBe(0x7fff_0000_1234);
    expect(host.addressOf(new Uint8Array(3))).toBe(4096);
    expect(host.addressOf(new Uint8Array(0))).toBe(0);
    expect(host.viewOf(4096, 24).byteLength).toBe(24);
    expect(() => host.viewOf(0, 24)).toThrow(TypeError);
  });

  test("completions are waited for one at a time, in order, and failures are marked", async () => {
    const fake = new FakeDeno();
    const told: number[] = [];
    const completions = openWithDeno(fake.namespace, "library").completions((value) => told.push(value));
    expect(completions.callback).toBeNull();
    for (const ticket of [7, 8, 9]) completions.expect(3, ticket);
    expect(fake.waits.map(({ queue, ticket }) => [queue, ticket])).toEqual([[3, 7]]);
    for (const [i, status] of [0, 9, 0].entries()) {
      fake.waits[i].end(status);
      await turn();
    }
    expect(told).toEqual([7, 0x80000008, 9]);
    // It goes on after a pause.
    completions.expect(3, 10);
    fake.waits[3].end(0);
    await turn();
    expect(told.at(-1)).toBe(10);
    expect(fake.waits.map(({ ticket }) => ticket)).toEqual([7, 8, 9, 10]);
  });

  test("a listener may submit more, which is waited for too", async () => {
    const fake = new FakeDeno();
    const told: number[] = [];
    const completions = openWithDeno(fake.namespace, "library").completions((value) => {
      told.push(value);
      if (value < 3) completions.expect(1, value + 1);
    });
    completions.expect(1, 1);
    for (let i = 0; i < 3; i++) {
      fake.waits[i].end(0);
      await turn();
    }
    expect(told).toEqual([1, 2, 3]);
  });
});
