// SIMD-group functions, barriers, atomics and simdgroup_matrix on the CPU device, against plain computations.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BridgeError } from "../../src/runtime/index.ts";
import { encodeF16 } from "../reference/kernels_formats.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { line, type Numbers, ShaderBench, times } from "./msl_bench.ts";

let bench: ShaderBench;
beforeAll(() => {
  bench = new ShaderBench();
});
afterAll(() => bench[Symbol.dispose]());

/** One lane's view of a SIMD group: the values of the lanes that take part, and which lanes those are. */
interface Lanes {
  readonly values: readonly number[];
  readonly lane: number;
}

type LaneFunction = (lanes: Lanes) => number | undefined;

const at = ({ values }: Lanes, lane: number): number | undefined => values[lane];
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const product = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);
const quad = ({ values, lane }: Lanes): readonly number[] => values.slice(lane & ~3, (lane & ~3) + 4);
const before = (n: number, { values, lane }: Lanes): readonly number[] => values.slice(0, lane + n);
const quadBefore = (n: number, lanes: Lanes): readonly number[] => quad(lanes).slice(0, (lanes.lane & 3) + n);

/** The rows that `reductions` writes; undefined where a result is not defined. */
const reductions: [name: string, of: LaneFunction][] = [
  ["simd_sum", ({ values }) => sum(values)],
  ["simd_product", ({ values }) => product(values)],
  ["simd_min", ({ values }) => Math.min(...values)],
  ["simd_max", ({ values }) => Math.max(...values)],
  ["simd_prefix_inclusive_sum", (l) => sum(before(1, l))],
  ["simd_prefix_exclusive_sum", (l) => sum(before(0, l))],
  ["simd_prefix_inclusive_product", (l) => product(before(1, l))],
  ["simd_prefix_exclusive_product", (l) => product(before(0, l))],
  ["simd_broadcast", (l) => at(l, 5)],
  ["simd_broadcast_first", (l) => at(l, 0)],
  ["simd_shuffle", (l) => at(l, (l.lane * 7 + 3) % 32)],
  ["simd_shuffle_xor", (l) => at(l, l.lane ^ 11)],
  ["simd_shuffle_up", (l) => at(l, l.lane >= 3 ? l.lane - 3 : l.lane)],
  ["simd_shuffle_down", (l) => at(l, l.lane + 5 < 32 ? l.lane + 5 : l.lane)],
  ["simd_shuffle_rotate_up", (l) => at(l, (l.lane + 32 - 9) % 32)],
  ["simd_shuffle_rotate_down", (l) => at(l, (l.lane + 9) % 32)],
  ["simd_shuffle_and_fill_up", (l) => (l.lane >= 4 ? at(l, l.lane - 4) : add(at(l, l.lane + 28), 1))],
  ["simd_shuffle_and_fill_down", (l) => (l.lane < 28 ? at(l, l.lane + 4) : add(at(l, l.lane - 28), 1))],
  ["simd_shuffle_and_fill_up by 8", (l) => (l.lane % 8 >= 2 ? at(l, l.lane - 2) : add(at(l, l.lane + 6), 1))],
  [
    "simd_shuffle_and_fill_down by 8",
    (l) => (l.lane % 8 < 6 ? at(l, l.lane + 2) : add(at(l, l.lane - 6), 1)),
  ],
  ["quad_sum", (l) => sum(quad(l))],
  ["quad_product", (l) => product(quad(l))],
  ["quad_min", (l) => Math.min(...quad(l))],
  ["quad_max", (l) => Math.max(...quad(l))],
  ["quad_prefix_inclusive_sum", (l) => sum(quadBefore(1, l))],
  ["quad_prefix_exclusive_sum", (l) => sum(quadBefore(0, l))],
  ["quad_broadcast", (l) => quad(l)[2]],
  ["quad_shuffle", (l) => quad(l)[(l.lane + 1) % 4]],
  ["quad_shuffle_xor", (l) => at(l, l.lane ^ 1)],
  ["quad_shuffle_up", (l) => at(l, l.lane % 4 >= 1 ? l.lane - 1 : l.lane)],
  ["quad_shuffle_down", (l) => at(l, l.lane % 4 < 3 ? l.lane + 1 : l.lane)],
  ["quad_shuffle_rotate_up", (l) => quad(l)[(l.lane + 3) % 4]],
  ["quad_shuffle_rotate_down", (l) => quad(l)[(l.lane + 1) % 4]],
  ["quad_broadcast_first", (l) => quad(l)[0]],
];

function add(value: number | undefined, more: number): number | undefined {
  return value === undefined ? undefined : value + more;
}

/** Calls `check` with each lane of a row of threads. */
function eachLane(
  values: readonly number[],
  size: number,
  check: (lanes: Lanes, thread: number) => void,
): void {
  for (let start = 0; start < values.length; start += size) {
    const group = values.slice(start, start + size);
    for (let local = 0; local < group.length; local++) {
      const first = local - (local % 32);
      check({ values: group.slice(first, first + 32), lane: local % 32 }, start + local);
    }
  }
}

describe("SIMD-group functions", () => {
  // Small whole numbers, exact in every type; a product of them stays below 2048.
  const next = mulberry32(31);
  const scalar = (count: number): number[] =>
    times(count, () => (randomInteger(next, 4) === 0 ? 2 : 1) * (1 + (randomInteger(next, 8) % 1)));

  /** Element types, how to make room for them, and what a JavaScript number becomes in one. */
  const types: [name: string, make: (n: number) => Numbers, components: number, half: boolean][] = [
    ["float", (n) => new Float32Array(n), 1, false],
    ["half", (n) => new Uint16Array(n), 1, true],
    ["int", (n) => new Int32Array(n), 1, false],
    ["ushort", (n) => new Uint16Array(n), 1, false],
    ["char", (n) => new Int8Array(n), 1, false],
    ["float4", (n) => new Float32Array(n), 4, false],
  ];

  for (const [name, make, components, isHalf] of types) {
    test(`all give what they should for ${name}, in whole and partial SIMD groups`, () => {
      for (const [threads, size] of [
        [32, 32],
        [64, 64],
        [96, 45],
        [13, 13],
        [256, 128],
      ] as const) {
        const perComponent = times(components, () => scalar(threads));
        const input = make(threads * components);
        for (let i = 0; i < threads * components; i++) {
          const value = perComponent[i % components]?.[Math.floor(i / components)] ?? 0;
          input[i] = isHalf ? encodeF16(value) : value;
        }
        const out = make(reductions.length * threads * components);
        bench.run(
          "simd",
          `reductions_${name}`,
          [input, out, new Uint32Array([threads])],
          line(threads, size),
        );
        for (const [component, values] of perComponent.entries()) {
          eachLane(values, size, (lanes, thread) => {
            for (const [row, [what, of]] of reductions.entries()) {
              const wanted = of(lanes);
              if (wanted === undefined) continue;
              const wrapped = make(1);
              wrapped[0] = isHalf ? encodeF16(wanted) : wanted;
              const got = out[(row * threads + thread) * components + component];
              if (got !== wrapped[0])
                expect(got, `${what}, thread ${thread} of ${threads}/${size}`).toBe(wrapped[0] ?? NaN);
            }
          });
        }
      }
    });
  }

  test("simd_and, simd_or and simd_xor combine bits", () => {
    for (const [name, make] of [
      ["uint", (n: number) => new Uint32Array(n)],
      ["ushort", (n: number) => new Uint16Array(n)],
    ] as const) {
      const threads = 77;
      const values = times(threads, () => (randomInteger(next, 2 ** 16) | 0x11) & 0xffff);
      const input = make(threads);
      input.set(values);
      const out = make(6 * threads);
      bench.run("simd", `bitwise_${name}`, [input, out, new Uint32Array([threads])], line(threads, threads));
      const fold = (list: readonly number[], f: (a: number, b: number) => number): number => list.reduce(f);
      eachLane(values, threads, (lanes, thread) => {
        const got = times(6, (row) => out[row * threads + thread] ?? NaN);
        const operations = [
          (a: number, b: number) => a & b,
          (a: number, b: number) => a | b,
          (a: number, b: number) => a ^ b,
        ];
        expect(got).toEqual([
          ...operations.map((f) => fold(lanes.values, f)),
          ...operations.map((f) => fold(quad(lanes), f)),
        ]);
      });
    }
  });

  test("votes count the lanes that take part", () => {
    const threads = 32 * 5 + 19;
    const values = times(threads, (i) => (i < 32 ? 1 : i < 64 ? 0 : randomInteger(next, 3) === 0 ? 0 : 1));
    const out = new Uint32Array(9 * threads);
    bench.run(
      "simd",
      "votes",
      [Uint32Array.from(values), out, new Uint32Array([threads])],
      line(threads, threads),
    );
    const mask = (list: readonly number[]): number => list.reduce((m, v, i) => (m | (v << i)) >>> 0, 0) >>> 0;
    eachLane(values, threads, (lanes, thread) => {
      expect(times(9, (row) => out[row * threads + thread] ?? NaN)).toEqual([
        Number(lanes.values.every(Boolean)),
        Number(lanes.values.some(Boolean)),
        mask(lanes.values),
        mask(lanes.values.map(() => 1)),
        Number(lanes.lane === 0),
        Number(quad(lanes).every(Boolean)),
        Number(quad(lanes).some(Boolean)),
        mask(quad(lanes)),
        Number(lanes.lane % 4 === 0),
      ]);
    });
  });

  test("only the lanes that come take part: branches, loops of different lengths, returns", () => {
    const threads = 96;
    const values = times(threads, () => randomInteger(next, 1000));
    const out = new Uint32Array(9 * threads);
    bench.run(
      "simd",
      "divergent",
      [Uint32Array.from(values), out, new Uint32Array([threads])],
      line(threads, 96),
    );
    eachLane(values, threads, ({ values: v, lane }, thread) => {
      const rounds = Math.floor(lane / 8) + 1;
      expect(
        times(9, (row) => out[row * threads + thread] ?? NaN),
        `lane ${lane}`,
      ).toEqual([
        lane < 11 ? sum(v.slice(0, 11)) : 2 * sum(v.slice(11)),
        sum(v),
        lane % 3 === 0 ? Math.max(...v.filter((_, i) => i % 3 === 0)) : 0,
        32,
        sum(times(rounds, (k) => 32 - 8 * k)),
        32,
        lane < 20 ? 20 + (lane < 5 ? 500 : 0) + 200_000 : 0,
        32,
        lane < 30 ? 30 : 0,
      ]);
    });
  });

  test("helpers and templates that wait make their kernels wait", () => {
    const threads = 64;
    const values = times(threads, () => randomInteger(next, 1000));
    const out = new Uint32Array(threads);
    bench.run("simd", "through_helpers", [Uint32Array.from(values), out], line(threads, 64));
    eachLane(values, threads, ({ values: v, lane }, thread) => {
      const upper = v.slice(16);
      expect(out[thread]).toBe(
        (lane >= 16 ? 2 * (sum(upper) + Math.max(...upper)) : 1) + sum(v) + Math.max(...v),
      );
    });
  });
});

describe("barriers and atomics", () => {
  const next = mulberry32(8);

  test("threadgroup_barrier orders threadgroup memory", () => {
    for (const [threads, size] of [
      [1024, 1024],
      [1000, 100],
      [3000, 1000],
      [7, 7],
      [64, 1],
    ] as const) {
      const values = Uint32Array.from({ length: threads }, () => randomInteger(next, 1_000_000));
      const out = new Uint32Array(Math.ceil(threads / size));
      bench.run("sync", "tree_sum", [values, out], line(threads, size));
      const due = times(out.length, (g) => sum([...values.subarray(g * size, (g + 1) * size)]));
      expect([...out]).toEqual(due);
    }
  });

  test("no thread runs ahead of a barrier", () => {
    for (const size of [2, 31, 33, 256, 1000]) {
      const out = new Uint32Array(4 * size);
      bench.run("sync", "relay", [out, new Uint32Array([37])], {
        ...line(4 * size, size),
        threadgroupMemory: { 0: 4 * size + 16 - ((4 * size) % 16) },
      });
      expect([...out]).toEqual(times(4 * size, (i) => ((i % size) + 37) % size));
    }
    const simd = new Uint32Array(256);
    bench.run("sync", "simd_relay", [simd], line(256, 128));
    expect([...simd]).toEqual(times(256, (i) => ((i % 32) + 5) % 32));
  });

  test("threads that do not all reach a barrier are an error that names the kernel, not a hang", () => {
    const failure = (kernel: string): unknown => {
      try {
        bench.run("sync", kernel, [new Uint32Array(64)], line(64, 64));
      } catch (error) {
        return error;
      }
      return undefined;
    };
    for (const [kernel, says] of [
      ["early_return", "some threads have returned"],
      ["two_barriers", "different threadgroup_barriers"],
    ] as const) {
      const error = failure(kernel);
      expect(error).toBeInstanceOf(BridgeError);
      expect(String(error)).toContain(kernel);
      expect(String(error)).toContain(says);
    }
    // The device goes on.
    const out = new Uint32Array(1);
    bench.run("sync", "tree_sum", [new Uint32Array([5]), out], line(1, 1));
    expect(out[0]).toBe(5);
  });

  test("atomics of many threadgroups lose nothing", () => {
    const threads = 20_000;
    const counts = new Uint32Array(16);
    counts[1] = threads;
    counts[3] = 0xffffffff;
    counts[5] = 0xffffffff;
    const signeds = new Int32Array([0, -1000, 0, 0]);
    const floats = new Float32Array(4);
    const seen = new Uint32Array(threads);
    bench.run("sync", "atomics", [counts, signeds, floats, seen], line(threads, 64));
    let xor = 0;
    for (let i = 0; i < threads; i++) xor ^= i;
    expect([...counts.subarray(0, 9)]).toEqual([
      threads,
      0,
      threads - 1,
      0,
      0xffffffff,
      0xffff0000,
      xor,
      2 * threads,
      7,
    ]);
    expect([...signeds.subarray(0, 2)]).toEqual([1 - threads, -1]);
    expect(floats[0]).toBe(threads / 2);
    expect(seen.every((v) => v === 1)).toBe(true);
  });

  test("atomics in threadgroup memory", () => {
    const values = Uint32Array.from({ length: 5000 }, () => randomInteger(next, 1000));
    const out = new Uint32Array(16);
    bench.run("sync", "histogram", [values, out], line(5000, 250));
    expect([...out]).toEqual(times(16, (bin) => values.filter((v) => v % 16 === bin).length));
  });
});

describe("simdgroup_matrix", () => {
  const next = mulberry32(88);

  for (const type of ["f32", "f16"]) {
    test(`${type}: loads, stores, products and their transposes`, () => {
      const stride = 12;
      const element = (): number => (randomInteger(next, 33) - 16) / 8; // exact in half
      const a = times(10 * stride, element);
      const b = times(10 * stride, element);
      const c = times(64, element);
      const coded = (v: number[]): Numbers =>
        type === "f16" ? Uint16Array.from(v, encodeF16) : Float32Array.from(v);
      const out = new Float32Array(5 * 64);
      bench.run("sync", `matrices_${type}`, [coded(a), coded(b), Float32Array.from(c), out], line(32, 32));
      const A = (r: number, k: number): number => a[r * stride + k] ?? NaN;
      const B = (k: number, col: number): number => b[k * stride + col] ?? NaN;
      const each = (f: (r: number, col: number) => number): number[] => times(64, (i) => f(i >> 3, i & 7));
      const dot = (f: (k: number) => number): number => sum(times(8, f));
      const ab = (r: number, col: number): number => dot((k) => A(r, k) * B(k, col));
      const abt = (r: number, col: number): number => dot((k) => A(r, k) * B(col, k));
      expect([...out.subarray(0, 64)]).toEqual(each((r, col) => ab(r, col) + (c[r * 8 + col] ?? NaN)));
      expect([...out.subarray(64, 128)]).toEqual(each(abt));
      expect([...out.subarray(128, 192)]).toEqual(each((r, col) => abt(col, r)));
      expect([...out.subarray(192, 256)]).toEqual(each((r, col) => ab(r, col) + 3));
      expect([...out.subarray(256)]).toEqual(each((r, col) => A(r + 1, col + 2)));
    });
  }

  test("thread_elements() are where Apple's GPUs have them, and can be changed", () => {
    const input = Float32Array.from({ length: 64 }, (_, i) => i + 1);
    const own = new Float32Array(64);
    const out = new Float32Array(64);
    bench.run("sync", "fragments", [input, own, out], line(32, 32));
    const changed = [...input];
    for (let lane = 0; lane < 32; lane++) {
      const row = Math.floor(lane / 4 / 4) * 4 + (Math.floor(lane / 2) % 4);
      const column = (Math.floor(lane / 4) & 2) * 2 + (lane % 2) * 2;
      const index = row * 8 + column;
      expect([own[2 * lane], own[2 * lane + 1]], `lane ${lane}`).toEqual([index + 1, index + 2]);
      changed[index] = 2 * (index + 1);
      if (lane % 2 === 0) changed[index + 1] = -1;
    }
    expect([...out]).toEqual(changed);
  });
});
