/** Wraps the native functions to count or time their calls. Nothing here runs unless somebody asked for it. */
import type { SymbolName, Symbols } from "./abi.ts";

/** Is told of every native call; the returned function, if any, is called when the call has returned. */
export type CallObserver = (name: SymbolName) => (() => void) | undefined;

/** Returns functions that tell `observer` of every call, then call the ones given. */
export function observeCalls(symbols: Symbols, observer: CallObserver): Symbols {
  const wrapped = Object.entries(symbols).map(([name, native]) => {
    const call = native as (...args: readonly unknown[]) => unknown;
    const observed = (...args: readonly unknown[]): unknown => {
      const done = observer(name as SymbolName);
      const result = call(...args);
      done?.();
      return result;
    };
    return [name, observed];
  });
  return Object.fromEntries(wrapped) as unknown as Symbols;
}

/** Calls and nanoseconds of one native function. */
class Timing {
  calls = 0;
  total = 0;
  longest = 0;
  /** Calls by magnitude: entry k counts those of less than 2^k nanoseconds, and no less than half that. */
  readonly #magnitudes = new Uint32Array(64);

  add(nanoseconds: number): void {
    this.calls++;
    this.total += nanoseconds;
    this.longest = Math.max(this.longest, nanoseconds);
    this.#magnitudes[Math.min(63, Math.floor(Math.log2(Math.max(1, nanoseconds))) + 1)]++;
  }

  /** A bound that the given share of the calls stayed under. */
  percentile(share: number): number {
    let seen = 0;
    let magnitude = 0;
    while (magnitude < this.#magnitudes.length - 1 && seen < share * this.calls) {
      seen += this.#magnitudes[magnitude++];
    }
    return Math.min(2 ** Math.max(0, magnitude - 1), this.longest);
  }
}

/** The values of BUN_METAL_TRACE. */
export type TraceMode = "calls" | "times";

/**
 * Reads BUN_METAL_TRACE.
 *
 * @throws {RangeError} for a value that it cannot have.
 */
export function traceMode(value: string | undefined): TraceMode | undefined {
  if (value === undefined || value === "") return undefined;
  if (value === "calls" || value === "times") return value;
  throw new RangeError(`Cannot trace "${value}": BUN_METAL_TRACE may be "calls" or "times"`);
}

/** Collects what BUN_METAL_TRACE asks for. */
export class Trace {
  readonly #mode: TraceMode;
  readonly #timings = new Map<SymbolName, Timing>();

  constructor(mode: TraceMode) {
    this.#mode = mode;
  }

  readonly observe: CallObserver = (name) => {
    const timing = this.#timings.get(name) ?? new Timing();
    this.#timings.set(name, timing);
    if (this.#mode === "calls") {
      timing.calls++;
      return undefined;
    }
    const start = performance.now();
    return () => timing.add((performance.now() - start) * 1e6);
  };

  /** The table, one function a line, the busiest first. */
  table(): string {
    const times = this.#mode === "times";
    const micro = (nanoseconds: number) => (nanoseconds / 1000).toFixed(2);
    const head = times
      ? ["function", "calls", "total ms", "p50 us", "p99 us", "max us"]
      : ["function", "calls"];
    const rows = [...this.#timings]
      .sort(([, a], [, b]) => b.total - a.total || b.calls - a.calls)
      .map(([name, t]) => {
        const row = [name, String(t.calls)];
        if (!times) return row;
        const numbers = [t.percentile(0.5), t.percentile(0.99), t.longest].map(micro);
        return [...row, (t.total / 1e6).toFixed(3), ...numbers];
      });
    const all = [head, ...rows];
    const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
    return all
      .map((row) =>
        row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "),
      )
      .join("\n");
  }
}
