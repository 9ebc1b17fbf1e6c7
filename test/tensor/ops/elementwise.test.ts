// Elementwise operations, conversions, norms: what they refuse, what shapes they give, how they launch their kernels.
import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/tensor/index.ts";
import { Bench, f32At, groups, testRefusals, testShapes, u32s } from "./bench.ts";

testShapes([
  ["add", (b) => ops.add(b.f32(b.rows, 4), b.f32(b.rows, 4)), "f32 [rows<=8, 4]"],
  ["mul", (b) => ops.mul(b.f32(2, 3, 4), b.f32(2, 3, 4)), "f32 [2, 3, 4]"],
  ["silu", (b) => ops.silu(b.f32(5)), "f32 [5]"],
  ["gelu", (b) => ops.gelu(b.f32(5)), "f32 [5]"],
  ["addBias", (b) => ops.addBias(b.f32(b.rows, 4), b.f32(4)), "f32 [rows<=8, 4]"],
  ["scale", (b) => ops.scale(b.f32(b.rows, 4), 2), "f32 [rows<=8, 4]"],
  ["softCap", (b) => ops.softCap(b.f32(3, 4), 2), "f32 [3, 4]"],
  ["convert", (b) => ops.convert(b.of("q8_0", 2, 64), "f16"), "f16 [2, 64]"],
  ["rmsNorm", (b) => ops.rmsNorm(b.f32(b.rows, 4), b.f32(4), { eps: 0 }), "f32 [rows<=8, 4]"],
  ["softmax", (b) => ops.softmax(b.f32(b.rows, 2, 4)), "f32 [rows<=8, 2, 4]"],
]);

testRefusals([
  ["add of types", (b) => ops.add(b.f32(4), b.of("f16", 4)), TypeError, "b must be f32, not f16"],
  ["add of shapes", (b) => ops.add(b.f32(2, 4), b.f32(4, 2)), RangeError, "must have the same shape"],
  ["mul of equal maxima", (b) => ops.mul(b.f32(b.rows, 4), b.f32(b.others, 4)), RangeError, "the same shape"],
  ["mul of graphs", (b) => ops.mul(b.f32(4), new Bench().f32(4)), TypeError, "different graphs"],
  ["silu of u32", (b) => ops.silu(b.u32(4)), TypeError, "x must be f32, not u32"],
  ["convert of u32", (b) => ops.convert(b.u32(4), "f32"), TypeError, "x must be f32 or f16 or bf16 or q4_0"],
  ["convert to q8_0", (b) => ops.convert(b.f32(32), "q8_0" as "f16"), TypeError, 'cannot convert to "q8_0"'],
  [
    "rmsNorm of lengths",
    (b) => ops.rmsNorm(b.f32(2, 4), b.f32(5), { eps: 0 }),
    RangeError,
    "4 is not a multiple of 5",
  ],
  ["addBias of lengths", (b) => ops.addBias(b.f32(2, 4), b.f32(2)), RangeError, "must be 4"],
  ["scale by NaN", (b) => ops.scale(b.f32(4), Number.NaN), RangeError, "factor must be"],
  ["softCap of 0", (b) => ops.softCap(b.f32(4), 0), RangeError, "cap must be above 0"],
  ["gelu of u32", (b) => ops.gelu(b.u32(4)), TypeError, "x must be f32"],
  ["rmsNorm of rank", (b) => ops.rmsNorm(b.f32(2, 4), b.f32(1, 4), { eps: 0 }), RangeError, "1 dimensions"],
  ["rmsNorm below 0", (b) => ops.rmsNorm(b.f32(4), b.f32(4), { eps: -1 }), RangeError, "eps must not be"],
  ["rmsNorm of NaN", (b) => ops.rmsNorm(b.f32(4), b.f32(4), { eps: Number.NaN }), RangeError, "eps must"],
  ["softmax by infinity", (b) => ops.softmax(b.f32(4), { scale: 1 / 0 }), RangeError, "scale must be"],
]);

describe("operations launch their kernels as the shaders expect", () => {
  test("elementwise kernels cover a row with 256 threads a group, and rows along y", () => {
    const bench = new Bench();
    ops.add(bench.f32(bench.rows, 3, 300), bench.f32(bench.rows, 3, 300));
    const { kernel, args, grid, threads } = bench.launch();
    expect([kernel, threads, u32s(args)]).toEqual(["add_f32", 256, [300]]);
    expect(grid.map(groups)).toEqual([2, { rows: 3, per: 1 }]);
  });

  test("convert() names both types", () => {
    const bench = new Bench();
    ops.convert(bench.of("q8_0", 2, 32), "f16");
    expect(bench.launch().kernel).toBe("convert_q8_0_f16");
  });

  test("rmsNorm() runs one group per row, with threads by its length", () => {
    for (const [n, threads] of [
      [1, 32],
      [64, 32],
      [288, 96],
      [2048, 256],
    ]) {
      const bench = new Bench();
      ops.rmsNorm(bench.f32(3, n), bench.f32(n), { eps: 1e-5 });
      const launch = bench.launch();
      expect(launch.grid.map(groups)).toEqual([1, 3]);
      expect(launch.threads).toBe(threads);
      expect(u32s(launch.args)[0]).toBe(n);
      expect(f32At(launch.args, 1)).toBe(Math.fround(1e-5));
    }
  });

  test("rmsNorm() gives each head a group where the weight is one head long", () => {
    const bench = new Bench();
    ops.rmsNorm(bench.f32(bench.rows, 32), bench.f32(8), { eps: 0 });
    const { args, grid } = bench.launch();
    expect(u32s(args)[0]).toBe(8);
    expect(grid.map(groups)).toEqual([1, { rows: 4, per: 1 }]);
  });
});
