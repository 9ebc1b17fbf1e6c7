// Attention as a plan runs it: every kernel family and number of splits over one paged cache, against float64.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Device } from "../../src/runtime/index.ts";
import {
  type AttentionKernel,
  attention,
  footprint,
  Graph,
  type KernelTarget,
  kvStore,
  Nodes,
  SKIPPED_SLOT,
} from "../../src/tensor/index.ts";
import { schedule } from "../../src/tensor/schedule.ts";
import { hasHalfProducts } from "../host/native_kernels.ts";
import { halfAttentionBound } from "../kernels/case.ts";
import { attention as attended } from "../reference/kernels.ts";
import { storeAs } from "../reference/kernels_formats.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

let device: Device;
beforeAll(() => {
  device = Device.open();
});
afterAll(() => device.dispose());

const gpu: KernelTarget = { simdgroupMatrix: true, serialLanes: false };
const oldGpu: KernelTarget = { simdgroupMatrix: false, serialLanes: false };
const cpu: KernelTarget = { simdgroupMatrix: true, serialLanes: true };

type Shape = {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly context: number;
  readonly window?: number;
};
type Forced = { readonly kernel?: AttentionKernel; readonly splits?: number };
const blockSize = 32;

function build(
  nodes: Nodes,
  shape: Shape,
  type: "f32" | "f16" | "q8_0",
  forced: Forced,
  caches: Parameters<Nodes["constant"]>[0][],
): void {
  const { heads, kvHeads, headDim, context } = shape;
  const rows = nodes.rows("rows", shape.rows);
  const width = kvHeads * headDim;
  const [keys, values] = caches.map((memory) => nodes.constant(memory, type, [context, width]));
  const blockTables = nodes.words("blocks", [1, context / blockSize]);
  const [positions, sequences, slots] = ["positions", "sequences", "slots"].map((name) =>
    nodes.words(name, rows),
  );
  kvStore(
    nodes.input("k", "f32", [rows, width]),
    nodes.input("v", "f32", [rows, width]),
    slots,
    keys,
    values,
  );
  const cache = { keys, values, blockTables, blockSize };
  const query = nodes.input("q", "f32", [rows, heads * headDim]);
  const window = shape.window === undefined ? {} : { window: shape.window };
  nodes.output(attention(query, cache, positions, sequences, { headDim, ...window, ...forced }), "y");
}

function kernels(shape: Shape, target: KernelTarget, forced: Forced = {}): unknown[] {
  const nodes = new Nodes();
  const memory = { byteLength: Number.MAX_SAFE_INTEGER };
  build(nodes, shape, "f16", forced, [memory, { ...memory }]);
  return schedule(nodes, target)
    .steps.slice(1)
    .map(({ dispatch, barrier }) => {
      return [dispatch.kernel, barrier, dispatch.grid[2]?.extent ?? 1];
    });
}

describe("attention() chooses", () => {
  const token = { rows: 1, heads: 8, kvHeads: 2, headDim: 64, context: 4096 };
  test("splits for long contexts of few rows on a GPU, and puts them together behind a barrier", () => {
    expect(kernels(token, gpu)).toEqual([
      ["attention_f16", true, 16],
      ["attention_reduce", true, 1],
    ]);
    expect(kernels({ ...token, heads: 64, kvHeads: 64 }, gpu)[0]).toEqual(["attention_f16", true, 8]);
    expect(kernels({ ...token, window: 512 }, gpu)[0]).toEqual(["attention_f16", true, 2]);
    expect(kernels({ ...token, heads: 1, kvHeads: 1, context: 1 << 20 }, gpu)[0]).toEqual([
      "attention_f16",
      true,
      64,
    ]);
  });

  test("one kernel for short contexts, and where lanes are serial", () => {
    const whole = [["attention_f16", true, 1]];
    expect(kernels({ ...token, context: 256 }, gpu)).toEqual(whole);
    expect(kernels(token, cpu)).toEqual(whole);
    expect(kernels({ ...token, rows: 64 }, cpu)).toEqual(whole);
  });

  test("tiles for prompts where simdgroup_matrix works, with a kernel for the size of heads", () => {
    const prompt = { ...token, rows: 64 };
    for (const [headDim, size] of [
      [32, 64],
      [64, 64],
      [72, 128],
      [128, 128],
      [136, 256],
      [256, 256],
    ]) {
      expect(kernels({ ...prompt, headDim }, gpu)).toEqual([[`attention_tiled_${size}_f16`, true, 1]]);
    }
    const whole = [["attention_f16", true, 1]];
    for (const headDim of [16, 24, 33, 100]) expect(kernels({ ...prompt, headDim }, gpu)).toEqual(whole);
    expect(kernels(prompt, oldGpu)).toEqual(whole);
    expect(kernels({ ...prompt, rows: 7 }, gpu)[0]).toEqual(["attention_f16", true, 10]);
  });

  test("what it is told to", () => {
    expect(kernels(token, cpu, { kernel: "attention_tiled" })).toEqual([["attention_tiled_64_f16", true, 1]]);
    expect(kernels({ ...token, rows: 64 }, gpu, { splits: 3 })[0]).toEqual(["attention_f16", true, 3]);
    expect(() => kernels({ ...token, headDim: 36 }, gpu, { kernel: "attention_tiled" })).toThrow(
      /heads of 32 to 256 in eights/,
    );
    expect(() => kernels(token, gpu, { splits: 65 })).toThrow("splits must be a whole number from 1 to 64");
  });

  test("memory for what splits have summed, the same each time it is asked", () => {
    const nodes = new Nodes();
    const memory = { byteLength: Number.MAX_SAFE_INTEGER };
    build(nodes, token, "f16", {}, [memory, { ...memory }]);
    expect(footprint(nodes, gpu).arenaBytes).toBe(8 * 16 * (64 + 2) * 4);
    const { length } = nodes.tensors;
    expect(footprint(nodes, gpu).arenaBytes).toBe(8 * 16 * (64 + 2) * 4);
    expect(nodes.tensors.length).toBe(length);
  });
});

/** Positions that are asked for alone, behind a prompt of 501 rows in batches of 40. */
const asked = [0, 1, 30, 32, 500];
const ways: readonly Forced[] = [{}, { splits: 2 }, { splits: 5 }, { kernel: "attention_tiled" }];
const shapes: readonly Shape[] = [
  { rows: 40, heads: 3, kvHeads: 1, headDim: 64, context: 512 },
  { rows: 40, heads: 2, kvHeads: 2, headDim: 96, context: 512, window: 150 },
];

describe("attention() of prompts in batches and of the token behind them", () => {
  for (const type of ["f32", "f16", "q8_0"] as const) {
    for (const shape of shapes) {
      for (const forced of ways) {
        const name = `${type} headDim=${shape.headDim} window=${shape.window} ${JSON.stringify(forced)}`;
        test(name, () => {
          const { heads, kvHeads, headDim, context, window = context } = shape;
          const width = kvHeads * headDim;
          const random = mulberry32(7);
          const k = gaussianArray(random, context * width, 1);
          const v = gaussianArray(random, context * width, 1);
          const q = gaussianArray(random, context * heads * headDim, 1);
          const [kept, keptValues] = [k, v].map((from) => storeAs(type, from).values);
          using stack = new DisposableStack();
          const graph = new Graph(device);
          const bytes = storeAs(type, k).bytes.length;
          build(graph, shape, type, forced, [
            stack.use(device.buffer(bytes)),
            stack.use(device.buffer(bytes)),
          ]);
          const plan = stack.use(graph.compile());
          const blocks = Array.from({ length: context / blockSize }, (_, i) => i ^ 5); // in another order
          plan.set("blocks", blocks);
          const run = (first: number, count: number, store: boolean): Float32Array => {
            const positions = Array.from({ length: count }, (_, i) => first + i);
            plan
              .setRows("rows", count)
              .set("positions", positions)
              .set(
                "sequences",
                positions.map(() => 0),
              );
            plan.set(
              "slots",
              positions.map((p) =>
                store ? blocks[Math.floor(p / blockSize)] * blockSize + (p % blockSize) : SKIPPED_SLOT,
              ),
            );
            plan.set("k", k.subarray(first * width, (first + count) * width));
            plan.set("v", v.subarray(first * width, (first + count) * width));
            plan.set("q", q.subarray(first * heads * headDim, (first + count) * heads * headDim)).run();
            return plan.f32("y").subarray(0, count * heads * headDim);
          };
          const largestError = (position: number, got: Float32Array): number => {
            const begin = Math.max(0, position + 1 - window) * width;
            const end = (position + 1) * width;
            const query = q.subarray(position * heads * headDim, (position + 1) * heads * headDim);
            const expected = attended(
              query,
              kept.subarray(begin, end),
              keptValues.subarray(begin, end),
              shape,
              1 / Math.sqrt(headDim),
            );
            return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
          };
          // Sums of F32, of values within ±5; where the quotient of a Q8_0 element lies halfway, a quant may be the next.
          const exact = 1e-5;
          // The plan is for many rows: unless told otherwise it takes tiles, also where a run has one. Outputs are below 1 typically.
          const bound = hasHalfProducts && forced.splits === undefined ? halfAttentionBound : exact;
          for (let first = 0; first < 501; first += shape.rows) {
            const count = Math.min(shape.rows, 501 - first);
            const y = run(first, count, true).slice();
            for (const r of [0, count - 1]) {
              expect(
                largestError(first + r, y.subarray(r * heads * headDim, (r + 1) * heads * headDim)),
              ).toBeLessThan(bound);
            }
          }
          for (const position of asked) {
            expect(largestError(position, run(position, 1, false))).toBeLessThan(bound);
          }
        });
      }
    }
  }
});
