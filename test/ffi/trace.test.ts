// Counting and timing of native calls.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Symbols } from "../../src/ffi/abi.ts";
import { countNativeCalls, loadBridge } from "../../src/ffi/index.ts";
import { observeCalls, Trace, traceMode } from "../../src/ffi/trace.ts";
import { run, scriptCommand } from "../host/process.ts";

const two = { bm_abi_version: () => 1, bm_error_code: () => 2 } as unknown as Symbols;

describe("observeCalls", () => {
  test("observeCalls() passes arguments and results on", () => {
    const seen: string[] = [];
    const symbols = { bm_release: (handle: number) => handle + 1 } as unknown as Symbols;
    const observed = observeCalls(symbols, (name) => {
      seen.push(name);
      return () => seen.push("done");
    });
    expect(observed.bm_release(41)).toBe(42);
    expect(seen).toEqual(["bm_release", "done"]);
  });
});

describe("countNativeCalls", () => {
  test("countNativeCalls() counts by function, until stopped, several at once", () => {
    const bridge = loadBridge();
    const plain = bridge.symbols;
    const outer = countNativeCalls();
    bridge.symbols.bm_abi_version();
    const inner = countNativeCalls();
    bridge.symbols.bm_abi_version();
    bridge.symbols.bm_error_code();
    inner.stop();
    bridge.symbols.bm_abi_version();
    outer.stop();
    bridge.symbols.bm_abi_version();
    expect([...inner.calls]).toEqual([
      ["bm_abi_version", 1],
      ["bm_error_code", 1],
    ]);
    expect([inner.total, outer.total, outer.calls.get("bm_abi_version")]).toEqual([2, 4, 3]);
    expect(bridge.symbols).toBe(plain);
  });
});

describe("Trace", () => {
  test("Trace makes a table of calls, the most frequent first", () => {
    const trace = new Trace("calls");
    const observed = observeCalls(two, trace.observe);
    observed.bm_abi_version();
    observed.bm_error_code();
    observed.bm_error_code();
    const lines = trace.table().split("\n");
    expect(lines.map((line) => line.trim().split(/\s+/))).toEqual([
      ["function", "calls"],
      ["bm_error_code", "2"],
      ["bm_abi_version", "1"],
    ]);
  });

  test("Trace makes a table of times", () => {
    const trace = new Trace("times");
    const observed = observeCalls(two, trace.observe);
    for (let i = 0; i < 10; i++) observed.bm_abi_version();
    const [head, row] = trace.table().split("\n");
    expect(head).toMatch(/^function +calls +total ms +p50 us +p99 us +max us$/);
    const [name, calls, total, p50, p99, max] = row.trim().split(/\s+/);
    expect([name, calls]).toEqual(["bm_abi_version", "10"]);
    expect([total, p50, p99, max].every((cell) => Number.isFinite(Number(cell)))).toBe(true);
    expect(Number(p50)).toBeLessThanOrEqual(Number(max));
  });
});

describe("traceMode", () => {
  test("traceMode() knows two modes and refuses others", () => {
    expect([traceMode(undefined), traceMode(""), traceMode("calls")]).toEqual([
      undefined,
      undefined,
      "calls",
    ]);
    expect(() => traceMode("all")).toThrow(RangeError);
  });

  test("BUN_METAL_TRACE=times prints a table when the program ends", async () => {
    const index = join(import.meta.dirname, "../../src/ffi/index.ts");
    const script = `import { loadBridge } from ${JSON.stringify(index)}; loadBridge().symbols.bm_error_code();`;
    const { code, stderr } = await run(scriptCommand(script), { environment: { BUN_METAL_TRACE: "times" } });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^bm_error_code +1 /m);
  });
});
