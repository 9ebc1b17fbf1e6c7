// Rotary embedding, caches, attention: what they refuse, what shapes they give, how they launch their kernels.
import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/tensor/index.ts";
import { Bench, f32At, groups, testRefusals, testShapes, u32s } from "./bench.ts";

const turn = { headDim: 8, layout: "interleaved" } as const;

testShapes([
  [
    "rope",
    (b) => ops.rope(b.f32(b.rows, 16), b.u32(b.rows), b.f32(4), { headDim: 8, layout: "half" }),
    "f32 [rows<=8, 16]",
  ],
  [
    "attention",
    (b) => ops.attention(b.f32(b.rows, 64), b.cache(), b.u32(b.rows), b.u32(b.rows), { headDim: 8 }),
    "f32 [rows<=8, 64]",
  ],
  [
    "attentionScores",
    (b) => ops.attentionScores(b.f32(b.rows, 64), b.of("f16", 9, 16), { headDim: 8 }),
    "f32 [rows<=8, 8, 9]",
  ],
  [
    "attentionWeightedSum",
    (b) => ops.attentionWeightedSum(b.f32(b.rows, 8, 9), b.f32(9, 16), { headDim: 8 }),
    "f32 [rows<=8, 64]",
  ],
]);

testRefusals([
  [
    "rope of heads",
    (b) => ops.rope(b.f32(2, 12), b.u32(2), b.f32(4), turn),
    RangeError,
    "12 is not a multiple of 8",
  ],
  ["rope of rows", (b) => ops.rope(b.f32(2, 16), b.u32(3), b.f32(4), turn), RangeError, "the same rows"],
  [
    "rope of dimensions",
    (b) => ops.rope(b.f32(2, 16), b.u32(2), b.f32(5), turn),
    RangeError,
    "turn 10 dimensions",
  ],
  [
    "rope of odd heads",
    (b) => ops.rope(b.f32(2, 9), b.u32(2), b.f32(1), { ...turn, headDim: 3 }),
    RangeError,
    "headDim in pairs",
  ],
  [
    "rope of a layout",
    (b) => ops.rope(b.f32(2, 8), b.u32(2), b.f32(4), { headDim: 8, layout: "neox" as "half" }),
    TypeError,
    'unknown layout "neox"',
  ],
  [
    "kvStore to an input",
    (b) => ops.kvStore(b.f32(2, 16), b.f32(2, 16), b.u32(2), b.f32(9, 16), b.f32(9, 16)),
    TypeError,
    "keyCache must be a constant",
  ],
  [
    "kvStore to one place",
    (b) => {
      const cache = b.constant("f16", 9, 16);
      ops.kvStore(b.f32(2, 16), b.f32(2, 16), b.u32(2), cache, cache);
    },
    RangeError,
    "keyCache and valueCache share memory",
  ],
  [
    "kvStore of lengths",
    (b) =>
      ops.kvStore(b.f32(2, 8), b.f32(2, 8), b.u32(2), b.constant("f32", 9, 16), b.constant("f32", 9, 16)),
    RangeError,
    "dimension 1 of keyCache must be 8",
  ],
  [
    "kvStore by a result",
    (b) => {
      const slots = ops.argmax(b.f32(2, 99));
      ops.kvStore(b.f32(2, 16), b.f32(2, 16), slots, b.constant("f32", 9, 16), b.constant("f32", 9, 16));
    },
    RangeError,
    "slots can be up to 98, beyond the slots of the cache",
  ],
  [
    "attention of blocks",
    (b) => ops.attention(b.f32(2, 16), b.cache("f16", 33), b.u32(2), b.u32(2), { headDim: 8 }),
    RangeError,
    "33 is not a multiple of 8",
  ],
  [
    "attention of groups",
    (b) => ops.attention(b.f32(2, 24), b.cache(), b.u32(2), b.u32(2), { headDim: 8 }),
    RangeError,
    "3 is not a multiple of 2",
  ],
  [
    "attention of q8_0 caches whose heads are no whole blocks",
    (b) => ops.attention(b.f32(2, 32), b.cache("q8_0", 32, 32), b.u32(2), b.u32(2), { headDim: 8 }),
    RangeError,
    "headDim in blocks of the cache's type: 8 is not a multiple of 32",
  ],
  [
    "attention of u32 caches",
    (b) => ops.attention(b.f32(2, 32), b.cache("u32", 32, 32), b.u32(2), b.u32(2), { headDim: 8 }),
    TypeError,
    "keys must be f16 or f32 or q8_0",
  ],
  [
    "attention of large heads",
    (b) => ops.attention(b.f32(2, 512), b.cache("f16", 32, 512), b.u32(2), b.u32(2), { headDim: 512 }),
    RangeError,
    "headDim must be a whole number from 1 to 256",
  ],
  [
    "attention by computed positions",
    (b) => ops.attention(b.f32(2, 16), b.cache(), ops.argmax(b.f32(2, 4)), b.u32(2), { headDim: 8 }),
    TypeError,
    "positions must be words or an input",
  ],
  [
    "attentionScores of a position",
    (b) => ops.attentionScores(b.f32(2, 16), b.f32(9, 16), { headDim: 8, firstPosition: -1 }),
    RangeError,
    "firstPosition must be a whole number from 0",
  ],
  [
    "attentionWeightedSum of keys",
    (b) => ops.attentionWeightedSum(b.f32(2, 2, 9), b.f32(8, 16), { headDim: 8 }),
    RangeError,
    "dimension 2 of weights must be 8",
  ],
]);

describe("operations launch their kernels as the shaders expect", () => {
  test("rope() gives each pair a thread", () => {
    const bench = new Bench();
    ops.rope(bench.f32(bench.rows, 1024), bench.u32(bench.rows), bench.f32(16), {
      headDim: 64,
      layout: "half",
    });
    const { kernel, args, grid, bindings } = bench.launch();
    expect([kernel, u32s(args).slice(0, 3)]).toEqual(["rope_half_f32", [16, 64, 32]]);
    expect(f32At(args, 3)).toBe(1);
    expect(grid.map(groups)).toEqual([2, { rows: 1, per: 1 }]);
    expect(bindings.map(String)).toEqual([
      "f32 [rows<=8, 1024]",
      "u32 [rows<=8]",
      "f32 [16]",
      "f32 [rows<=8, 1024]",
    ]);
  });

  test("attention() gives each head of each row a group", () => {
    const bench = new Bench();
    const query = bench.f32(bench.rows, 64);
    ops.attention(query, bench.cache(), bench.u32(bench.rows), bench.u32(bench.rows), { headDim: 8 });
    const { kernel, args, grid, threads } = bench.launch();
    expect([kernel, threads]).toEqual(["attention_f16", 32]);
    expect(u32s(args).slice(0, 5)).toEqual([8, 2, 8, 8, 4]); // heads, kvHeads, headDim, blockSize, blocksPerSequence
    expect(f32At(args, 5)).toBe(Math.fround(1 / Math.sqrt(8)));
    expect([f32At(args, 6), u32s(args)[7]]).toEqual([0, 0xffff_ffff]); // softCap, window
    expect(grid.map(groups)).toEqual([8, { rows: 1, per: 1 }]);
  });

  test("attention() passes on its window and cap", () => {
    const bench = new Bench();
    const options = { headDim: 8, window: 5, softCap: 50 };
    ops.attention(bench.f32(2, 64), bench.cache(), bench.u32(2), bench.u32(2), options);
    const { args } = bench.launch();
    expect([f32At(args, 6), u32s(args)[7]]).toEqual([50, 5]);
  });

  test("attentionScores() masks nothing without firstPosition", () => {
    const bench = new Bench();
    const keys = bench.f32(100, 16);
    ops.attentionScores(bench.f32(3, 64), keys, { headDim: 8 });
    expect(bench.launch().grid.map(groups)).toEqual([2, 3, 8]);
    expect(u32s(bench.launch().args).slice(0, 5)).toEqual([8, 2, 8, 100, 0xffff_ffff]);
    ops.attentionScores(bench.f32(3, 64), keys, { headDim: 8, firstPosition: 5 });
    expect(u32s(bench.launch().args)[4]).toBe(5);
  });
});

describe("ropeFrequencies", () => {
  test("ropeFrequencies() are powers of theta, rounded once", () => {
    const frequencies = ops.ropeFrequencies(10000, 8);
    expect([...frequencies]).toEqual([1, 0.1, 0.01, 0.001].map(Math.fround));
  });

  test.each([
    [0, 8],
    [Number.NaN, 8],
    [10000, 7],
    [10000, 0],
  ])("ropeFrequencies(%p, %p) is refused", (theta, dims) => {
    expect(() => ops.ropeFrequencies(theta, dims)).toThrow(RangeError);
  });
});
