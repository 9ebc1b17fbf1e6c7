// MSL as a language, and its mathematics, on the CPU device, against plain computations.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { decodeF16, encodeF16 } from "../reference/kernels_formats.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { line, ShaderBench, times } from "./msl_bench.ts";

let bench: ShaderBench;
beforeAll(() => {
  bench = new ShaderBench();
});
afterAll(() => bench[Symbol.dispose]());

describe("MSL as a language", () => {
  test("constructs that Metal accepts give what they mean", () => {
    const out = new Float32Array(64).fill(-1);
    const args = new Uint32Array(2);
    args[0] = 3;
    new Float32Array(args.buffer)[1] = 7;
    bench.run("accepted", "language", [out, new Float32Array([1, 2, 3, 4]), args], line(1, 1));
    const tenth = decodeF16(encodeF16(0.1));
    const product = decodeF16(encodeF16(tenth * 3));
    const expected = [
      4,
      8,
      19,
      26,
      6,
      12,
      1.5 + product,
      45,
      13,
      127,
      2121,
      6,
      2,
      3.5,
      1,
      76,
      8,
      42,
      0,
      8,
      3,
      65376,
      14,
      23,
      306,
      Math.fround(1 / 3),
      9,
      10,
      3,
      0,
      2,
      1,
    ];
    expect([...out.subarray(0, expected.length)]).toEqual(expected.map(Math.fround));
    expect(out[expected.length]).toBe(-1);
  });

  test("namespaces are part of a kernel's name", () => {
    const out = new Float32Array(4);
    bench.run("accepted", "outer::inner::scoped", [out], line(4, 2));
    expect([...out]).toEqual([0, 0.5, 1, 1.5]);
  });

  test("templates with threadgroup arrays of dependent sizes", () => {
    const threads = 32;
    const input = Float32Array.from({ length: threads }, (_, i) => i * i);
    const out = new Float32Array(threads);
    bench.run("accepted", "reversed_f32", [input, out], {
      ...line(threads, threads),
      threadgroupMemory: { 0: 4 * threads },
    });
    expect([...out]).toEqual(times(threads, (i) => 2 * (threads - 1 - i) ** 2 + threads));
    const whole = Int32Array.from({ length: 64 }, (_, i) => i);
    const outWhole = new Int32Array(64);
    bench.run("accepted", "reversed_i32", [whole, outWhole], {
      ...line(64, 64),
      threadgroupMemory: { 0: 256 },
    });
    expect([...outWhole]).toEqual(times(64, (i) => 2 * (63 - i) + 64));
  });

  test("reflection finds limits and memory", () => {
    const reversed = bench.library("accepted").pipeline("reversed_f32");
    expect(reversed.maxTotalThreadsPerThreadgroup).toBe(32);
    // 16 * 2 floats, one more, one atomic, each at a multiple of 16
    expect(reversed.staticThreadgroupMemoryLength).toBe(128 + 16 + 16);
    expect(bench.library("accepted").pipeline("reversed_i32").maxTotalThreadsPerThreadgroup).toBe(64);
    expect(bench.library("accepted").pipeline("plain").maxTotalThreadsPerThreadgroup).toBe(1024);
  });

  test("arguments without attributes get indices in order", () => {
    const a = Float32Array.from({ length: 12 }, (_, i) => i);
    const b = new Float32Array(12).fill(-1);
    bench.run("accepted", "plain", [a, b, new Uint32Array([11])], {
      threads: [4, 3],
      threadsPerThreadgroup: [3, 2],
    });
    expect([...b]).toEqual([...times(11, (i) => 2 * i), -1]);
  });

  for (const kernel of ["positions", "positions_waiting"]) {
    test(`${kernel}: every thread is told where it is, at the edges too`, () => {
      for (const [grid, size] of [
        [
          [7, 5, 3],
          [4, 2, 2],
        ],
        [
          [70, 1, 1],
          [33, 1, 1],
        ],
        [
          [5, 40, 1],
          [5, 16, 1],
        ],
        [
          [1, 1, 9],
          [1, 1, 4],
        ],
      ] as [[number, number, number], [number, number, number]][]) {
        const [w, h, d] = grid;
        const out = new Uint32Array(w * h * d * 16).fill(0xdead);
        bench.run("accepted", kernel, [out], { threads: grid, threadsPerThreadgroup: size });
        const packed = (v: number[]): number => (v[0] ?? 0) + 100 * (v[1] ?? 0) + 10000 * (v[2] ?? 0);
        const groups = grid.map((n, k) => Math.ceil(n / (size[k] ?? 1)));
        for (let z = 0; z < d; z++) {
          for (let y = 0; y < h; y++) {
            for (let x = 0; x < w; x++) {
              const at = [x, y, z];
              const group = at.map((v, k) => Math.floor(v / (size[k] ?? 1)));
              const local = at.map((v, k) => v % (size[k] ?? 1));
              const actual = group.map((g, k) => Math.min(size[k] ?? 1, (grid[k] ?? 1) - g * (size[k] ?? 1)));
              const [sx = 1, sy = 1, sz = 1] = actual;
              const [lx = 0, ly = 0, lz = 0] = local;
              const index = lx + ly * sx + lz * sx * sy;
              const simds = Math.ceil((sx * sy * sz) / 32);
              const told = [...out.subarray(((z * h + y) * w + x) * 16).subarray(0, 16)];
              const due = [
                ...at,
                ...local,
                ...actual,
                packed(size),
                packed(group),
                packed(groups),
                index,
                index % 32,
                Math.floor(index / 32),
                simds * 100 + 32,
              ];
              if (told.join() !== due.join())
                expect(told, `grid ${grid}, group ${size}, at ${at}`).toEqual(due);
            }
          }
        }
        expect(out.indexOf(0xdead)).toBe(-1);
      }
    });
  }
});

describe("MSL mathematics", () => {
  const rows: [name: string, of: (x: number) => number, error: number][] = [
    ["exp", Math.exp, 4e-7],
    ["exp2", (x) => 2 ** x, 4e-7],
    ["log", Math.log, 4e-7],
    ["log2", Math.log2, 4e-7],
    ["sin", Math.sin, 4e-7],
    ["cos", Math.cos, 4e-7],
    ["tanh", Math.tanh, 4e-7],
    ["sqrt", Math.sqrt, 2e-7],
    ["rsqrt", (x) => 1 / Math.sqrt(x), 3e-7],
    ["pow", (x) => Math.abs(x) ** 1.5, 1e-6],
    ["floor", Math.floor, 0],
    ["ceil", Math.ceil, 0],
    ["trunc", Math.trunc, 0],
    ["rint", (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)), 0],
    ["round", (x) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5), 0],
    ["sign", (x) => (Number.isNaN(x) ? 0 : Math.sign(x)), 0],
    ["fract", (x) => Math.min(x - Math.floor(x), 1 - 2 ** -24), 2e-7],
    ["exp of a vector", Math.exp, 4e-7],
    ["tan", Math.tan, 1e-6],
    ["atan2", (x) => Math.atan2(x, 2), 1e-6],
    ["fma", (x) => x * x + 1, 2e-7],
    ["min and max", (x) => Math.min(x, 1) + Math.max(x, 2), 2e-7],
  ];
  const special = [
    0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    1,
    -1,
    1e-6,
    88,
    -87,
    100,
    -110,
    1e4,
    -3e5,
    1e30,
    1e-30,
    Infinity,
    -Infinity,
    NaN,
  ];
  const random = mulberry32(5);
  const x = Float32Array.from(
    { length: 1000 },
    (_, i) => special[i] ?? (random() - 0.5) * (i % 3 === 0 ? 2 : i % 3 === 1 ? 20 : 2000),
  );
  const out = new Float32Array(rows.length * x.length);
  beforeAll(() =>
    bench.run("accepted", "mathematics", [x, out, new Uint32Array([x.length])], line(x.length, 128)),
  );

  for (const [row, [name, of, error]] of rows.entries()) {
    test(`${name} is near the true value, infinities and NaN included`, () => {
      for (const [i, value] of x.entries()) {
        const actual = out[row * x.length + i] ?? NaN;
        const wanted = of(value);
        const note = `${name}(${value}) = ${actual}, not ${wanted}`;
        if (Number.isNaN(wanted)) {
          // min and max return the other operand; fract ends in a min.
          if (!["min and max", "fract"].includes(name)) expect(actual, note).toBeNaN();
        } else if (Math.abs(wanted) > 3.4e38) {
          expect(actual, note).toBe(Math.sign(wanted) * Infinity);
        } else if (Math.abs(wanted) < 2 ** -126) {
          expect(Math.abs(actual), note).toBeLessThan(2 ** -125);
        } else if (["sin", "cos"].includes(name) && Math.abs(value) > 1.6e9) {
          expect(actual, note).toBe(name === "sin" ? 0 : 1);
        } else if (["sin", "cos"].includes(name)) {
          expect(Math.abs(actual - wanted), note).toBeLessThan(2e-7);
        } else if (name === "tan" && Math.abs(value) > 1e4) {
          expect(Number.isFinite(actual), note).toBe(true);
        } else if (name !== "min and max" || !Number.isNaN(value)) {
          expect(Math.abs(actual - wanted), note).toBeLessThanOrEqual(error * Math.abs(wanted));
        }
      }
    });
  }

  test("integer division by zero gives some number, and does not stop", () => {
    const x = new Int32Array([-(2 ** 31), 0, -1, 3, 0, 0, 256, 65536]);
    const results = new Int32Array(7 * x.length);
    bench.run("sync", "divisions", [x, results, new Uint32Array([x.length])], line(x.length, 4));
    const [a = 0] = x;
    expect(results[3]).toBe(Math.trunc(a / 3));
    expect(results[x.length + 3]).toBe(a % 3);
    expect([...results.subarray(6 * x.length)]).toEqual(times(x.length, () => 1));
  });

  test("half arithmetic rounds after every operation", () => {
    const seed = 9;
    const next = mulberry32(seed);
    const n = 512;
    const bits = (): number =>
      (randomInteger(next, 2) << 15) | ((5 + randomInteger(next, 25)) << 10) | randomInteger(next, 1024);
    const a = Uint16Array.from({ length: n }, bits);
    const b = Uint16Array.from({ length: n }, bits);
    const result = new Uint16Array(5 * n);
    bench.run("accepted", "halves", [a, b, result, new Uint32Array([n])], line(n, 64));
    const round = (v: number): number => decodeF16(encodeF16(Math.fround(v)));
    for (let i = 0; i < n; i++) {
      const [p, q] = [decodeF16(a[i] ?? 0), decodeF16(b[i] ?? 0)];
      const product = round(p * q);
      const due = [
        round(p + q),
        product,
        round(product + p),
        round(Math.fround(p * Math.fround(1.0001))),
        round(round(p + q) * 0.5),
      ];
      const got = times(5, (r) => decodeF16(result[r * n + i] ?? 0));
      // p * q + p may be fused: then it is rounded once.
      if (got[2] === round(p * q + p)) due[2] = got[2];
      expect(got, `seed ${seed}: ${p}, ${q}`).toEqual(due);
    }
  });
});
