// What operations refuse, what shapes they give, and how they launch their kernels. No device is needed for any of it.
import { describe, expect, test } from "bun:test";
import * as ops from "../../src/tensor/index.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import type { Dispatch, GridAxis } from "../../src/tensor/operation.ts";
import { maximum, type Rows, type Shape } from "../../src/tensor/shape.ts";

type Tensor = ops.Tensor;

/** A graph with tensors of any type and shape at hand. */
class Bench {
  readonly nodes: Nodes = new Nodes();
  readonly rows: Rows = this.nodes.rows("rows", 8);
  readonly others: Rows = this.nodes.rows("others", 8);
  #count = 0;

  f32(...shape: Shape): Tensor {
    return this.of("f32", ...shape);
  }

  u32(...shape: Shape): Tensor {
    return this.of("u32", ...shape);
  }

  of(dtype: ops.DType, ...shape: Shape): Tensor {
    return this.nodes.input(`t${this.#count++}`, dtype, shape);
  }

  constant(dtype: ops.DType, ...shape: number[]): Tensor {
    return this.nodes.constant({ byteLength: 1 << 20 }, dtype, shape);
  }

  /** Two of eight experts for each of `rows`. */
  routes(): Tensor {
    return ops.routeExperts(this.f32(this.rows, 8), 2).ids;
  }

  cache(dtype: ops.DType = "f16", slots = 32, n = 16, blocks: Shape = [2, 4]): ops.PagedCache {
    return {
      keys: this.constant(dtype, slots, n),
      values: this.constant(dtype, slots, n),
      blockTables: this.u32(...blocks),
      blockSize: 8,
    };
  }

  /** The launch of the latest operation. */
  launch(simdgroupMatrix = true, serialLanes = false): Dispatch {
    const operation = this.nodes.operations.at(-1);
    if (operation === undefined) throw new Error("no operation was built");
    return operation.encode({ simdgroupMatrix, serialLanes });
  }
}

/** Groups along an axis, where dynamic rows are `[factor]`. */
function groups(axis: GridAxis | undefined): unknown {
  if (axis === undefined) return 1;
  const { extent, itemsPerGroup } = axis;
  return typeof extent === "number"
    ? Math.ceil(extent / itemsPerGroup)
    : { [extent.rows.name]: extent.factor, per: itemsPerGroup };
}

function u32s(args: Uint8Array): number[] {
  return [...new Uint32Array(args.slice().buffer)];
}

function f32At(args: Uint8Array, index: number): number {
  return new Float32Array(args.slice().buffer)[index];
}

describe("operations give results of the documented type and shape", () => {
  const cases: readonly [string, (b: Bench) => Tensor, string][] = [
    ["add", (b) => ops.add(b.f32(b.rows, 4), b.f32(b.rows, 4)), "f32 [rows<=8, 4]"],
    ["mul", (b) => ops.mul(b.f32(2, 3, 4), b.f32(2, 3, 4)), "f32 [2, 3, 4]"],
    ["silu", (b) => ops.silu(b.f32(5)), "f32 [5]"],
    ["gelu", (b) => ops.gelu(b.f32(5)), "f32 [5]"],
    ["addBias", (b) => ops.addBias(b.f32(b.rows, 4), b.f32(4)), "f32 [rows<=8, 4]"],
    ["scale", (b) => ops.scale(b.f32(b.rows, 4), 2), "f32 [rows<=8, 4]"],
    ["softCap", (b) => ops.softCap(b.f32(3, 4), 2), "f32 [3, 4]"],
    ["routeExperts ids", (b) => ops.routeExperts(b.f32(b.rows, 8), 2).ids, "u32 [rows<=8, 2]"],
    ["routeExperts weights", (b) => ops.routeExperts(b.f32(b.rows, 8), 2).weights, "f32 [rows<=8, 2]"],
    [
      "matmulExperts",
      (b) => ops.matmulExperts(b.f32(b.rows, 32), b.of("q8_0", 8, 5, 32), b.routes()),
      "f32 [rows<=8, 2, 5]",
    ],
    [
      "matmulExperts of experts' rows",
      (b) => ops.matmulExperts(b.f32(b.rows, 2, 32), b.of("f16", 9, 5, 32), b.routes()),
      "f32 [rows<=8, 2, 5]",
    ],
    ["mixExperts", (b) => ops.mixExperts(b.f32(b.rows, 2, 5), b.f32(b.rows, 2)), "f32 [rows<=8, 5]"],
    ["convert", (b) => ops.convert(b.of("q8_0", 2, 64), "f16"), "f16 [2, 64]"],
    ["rmsNorm", (b) => ops.rmsNorm(b.f32(b.rows, 4), b.f32(4), { eps: 0 }), "f32 [rows<=8, 4]"],
    ["softmax", (b) => ops.softmax(b.f32(b.rows, 2, 4)), "f32 [rows<=8, 2, 4]"],
    ["matmul", (b) => ops.matmul(b.f32(b.rows, 64), b.of("q8_0", 3, 64)), "f32 [rows<=8, 3]"],
    ["embed", (b) => ops.embed(b.of("f16", 7, 4), b.u32(b.rows)), "f32 [rows<=8, 4]"],
    ["gatherRows", (b) => ops.gatherRows(b.f32(b.rows, 4), b.u32(b.others)), "f32 [others<=8, 4]"],
    ["argmax", (b) => ops.argmax(b.f32(b.rows, 4)), "u32 [rows<=8]"],
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
  ];
  test.each(cases)("%s() has its result's shape", (_, build, expected) => {
    expect(String(build(new Bench()))).toBe(expected);
  });
});

describe("operations refuse operands that do not fit", () => {
  type Refusal = readonly [string, (b: Bench) => unknown, typeof TypeError | typeof RangeError, string];
  const turn = { headDim: 8, layout: "interleaved" } as const;
  const cases: readonly Refusal[] = [
    ["add of types", (b) => ops.add(b.f32(4), b.of("f16", 4)), TypeError, "b must be f32, not f16"],
    ["add of shapes", (b) => ops.add(b.f32(2, 4), b.f32(4, 2)), RangeError, "must have the same shape"],
    [
      "mul of equal maxima",
      (b) => ops.mul(b.f32(b.rows, 4), b.f32(b.others, 4)),
      RangeError,
      "the same shape",
    ],
    ["mul of graphs", (b) => ops.mul(b.f32(4), new Bench().f32(4)), TypeError, "different graphs"],
    ["silu of u32", (b) => ops.silu(b.u32(4)), TypeError, "x must be f32, not u32"],
    [
      "convert of u32",
      (b) => ops.convert(b.u32(4), "f32"),
      TypeError,
      "x must be f32 or f16 or bf16 or q4_0",
    ],
    [
      "convert to q8_0",
      (b) => ops.convert(b.f32(32), "q8_0" as "f16"),
      TypeError,
      'cannot convert to "q8_0"',
    ],
    [
      "rmsNorm of lengths",
      (b) => ops.rmsNorm(b.f32(2, 4), b.f32(5), { eps: 0 }),
      RangeError,
      "4 is not a multiple of 5",
    ],
    ["addBias of lengths", (b) => ops.addBias(b.f32(2, 4), b.f32(2)), RangeError, "must be 4"],
    ["scale by NaN", (b) => ops.scale(b.f32(4), Number.NaN), RangeError, "factor must be"],
    ["softCap of 0", (b) => ops.softCap(b.f32(4), 0), RangeError, "cap must be above 0"],
    ["routeExperts of too many", (b) => ops.routeExperts(b.f32(2, 8), 9), RangeError, "from 1 to 8"],
    [
      "matmulExperts of fewer",
      (b) => ops.matmulExperts(b.f32(b.rows, 4), b.f32(7, 3, 4), b.routes()),
      TypeError,
      "ids must be those of routeExperts",
    ],
    [
      "matmulExperts of ids from outside",
      (b) => ops.matmulExperts(b.f32(b.rows, 4), b.f32(8, 3, 4), b.u32(b.rows, 2)),
      TypeError,
      "ids must be those of routeExperts",
    ],
    [
      "matmulExperts of rows",
      (b) => ops.matmulExperts(b.f32(b.rows, 3, 4), b.f32(8, 3, 4), b.routes()),
      RangeError,
      "dimension 1 of x must be 2",
    ],
    ["mixExperts of others", (b) => ops.mixExperts(b.f32(3, 2, 5), b.f32(3, 4)), RangeError, "must be 2"],
    ["gelu of u32", (b) => ops.gelu(b.u32(4)), TypeError, "x must be f32"],
    ["rmsNorm of rank", (b) => ops.rmsNorm(b.f32(2, 4), b.f32(1, 4), { eps: 0 }), RangeError, "1 dimensions"],
    ["rmsNorm below 0", (b) => ops.rmsNorm(b.f32(4), b.f32(4), { eps: -1 }), RangeError, "eps must not be"],
    ["rmsNorm of NaN", (b) => ops.rmsNorm(b.f32(4), b.f32(4), { eps: Number.NaN }), RangeError, "eps must"],
    ["softmax by infinity", (b) => ops.softmax(b.f32(4), { scale: 1 / 0 }), RangeError, "scale must be"],
    [
      "matmul inner",
      (b) => ops.matmul(b.f32(2, 3), b.f32(3, 4)),
      RangeError,
      "dimension 1 of weight must be 3",
    ],
    [
      "matmul of types",
      (b) => ops.matmul(b.of("f16", 2, 3), b.f32(4, 3)),
      TypeError,
      "x must be f32, not f16",
    ],
    ["matmul of rank", (b) => ops.matmul(b.f32(3), b.f32(4, 3)), RangeError, "x must have 2 dimensions"],
    ["matmul dynamic weight", (b) => ops.matmul(b.f32(2, 3), b.f32(b.rows, 3)), RangeError, 'dynamic "rows"'],
    [
      "matmul by a kernel",
      (b) => ops.matmul(b.f32(2, 3), b.f32(4, 3), { kernel: "fast" as "matvec" }),
      TypeError,
      'unknown kernel "fast"',
    ],
    ["embed of tokens", (b) => ops.embed(b.f32(7, 4), b.f32(2)), TypeError, "tokens must be u32"],
    ["embed of a u32 table", (b) => ops.embed(b.u32(7, 4), b.u32(2)), TypeError, "table must be f32"],
    [
      "gatherRows of rank",
      (b) => ops.gatherRows(b.f32(7, 4), b.u32(2, 2)),
      RangeError,
      "indices must have 1",
    ],
    [
      "gatherRows by argmax over more",
      (b) => ops.gatherRows(b.f32(7, 4), ops.argmax(b.f32(2, 8))),
      RangeError,
      "indices can be up to 7, beyond the rows of x",
    ],
    ["argmax of rank", (b) => ops.argmax(b.f32(4)), RangeError, "x must have 2 dimensions"],
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
  ];
  test.each(cases)("%s is refused", (_, build, type, message) => {
    let thrown: unknown;
    try {
      build(new Bench());
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(type);
    expect(String(thrown)).toContain(message);
  });

  test("errors name the operation with all operands", () => {
    const bench = new Bench();
    expect(() => ops.matmul(bench.f32(bench.rows, 64), bench.of("q8_0", 7, 32))).toThrow(
      "Cannot build matmul(x: f32 [rows<=8, 64], weight: q8_0 [7, 32]): dimension 1 of weight must be 64 " +
        "(the row length of x; a weight is [outputs, inputs])",
    );
  });
});

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

  test("matmulExperts() shares a row among its experts, or has a row for each", () => {
    const bench = new Bench();
    ops.matmulExperts(bench.f32(bench.rows, 32), bench.of("f16", 8, 20, 32), bench.routes());
    const { kernel, args, grid } = bench.launch();
    expect([kernel, u32s(args)]).toEqual(["matvec_experts_f16", [20, 32, 8, 2]]);
    expect(grid.map(groups)).toEqual([3, { rows: 2, per: 1 }]);
    ops.matmulExperts(bench.f32(bench.rows, 2, 32), bench.of("f16", 8, 20, 32), bench.routes());
    expect(u32s(bench.launch().args)).toEqual([20, 32, 8, 1]);
  });

  test("attention() passes on its window and cap", () => {
    const bench = new Bench();
    const options = { headDim: 8, window: 5, softCap: 50 };
    ops.attention(bench.f32(2, 64), bench.cache(), bench.u32(2), bench.u32(2), options);
    const { args } = bench.launch();
    expect([f32At(args, 6), u32s(args)[7]]).toEqual([50, 5]);
  });

  test("rmsNorm() gives each head a group where the weight is one head long", () => {
    const bench = new Bench();
    ops.rmsNorm(bench.f32(bench.rows, 32), bench.f32(8), { eps: 0 });
    const { args, grid } = bench.launch();
    expect(u32s(args)[0]).toBe(8);
    expect(grid.map(groups)).toEqual([1, { rows: 4, per: 1 }]);
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

  const rowCounts: readonly (readonly [number, boolean, string])[] = [
    [1, true, "matvec_q8_0"],
    [1, false, "matvec_q8_0"],
    [2, true, "matvec_rows_q8_0"],
    [ops.MATMUL_MIN_ROWS - 1, true, "matvec_rows_q8_0"],
    [ops.MATMUL_MIN_ROWS, true, "matmul_q8_0"],
    [ops.MATMUL_MIN_ROWS, false, "matvec_rows_q8_0"],
  ];
  test.each(rowCounts)(
    "matmul() of %d rows with simdgroup_matrix %p is %s",
    (count, simdgroupMatrix, kernel) => {
      const bench = new Bench();
      ops.matmul(bench.f32(count, 64), bench.of("q8_0", 100, 64));
      expect(bench.launch(simdgroupMatrix).kernel).toBe(kernel);
    },
  );

  test("matmul(), attention() and reductions get one thread per threadgroup where lanes are serial", () => {
    const bench = new Bench();
    ops.matmul(bench.f32(100, 64), bench.of("q8_0", 99, 64));
    const product = bench.launch(true, true);
    expect([product.kernel, product.threads]).toEqual(["matvec_rows_q8_0", 1]);
    expect(product.grid.map(groups)).toEqual([25, 25]); // four outputs of four rows each
    const query = bench.f32(bench.rows, 64);
    ops.attention(query, bench.cache(), bench.u32(bench.rows), bench.u32(bench.rows), { headDim: 8 });
    expect(bench.launch(true, true).threads).toBe(1);
    ops.rmsNorm(bench.f32(3, 512), bench.f32(512), { eps: 1e-5 });
    expect([bench.launch(true, false).threads, bench.launch(true, true).threads]).toEqual([128, 1]);
    ops.argmax(bench.f32(3, 512));
    expect(bench.launch(true, true).threads).toBe(1);
  });

  test("matmul() decides by the maximum of dynamic rows, and takes their number from a word", () => {
    const bench = new Bench();
    const rows = bench.nodes.rows("many", 100);
    ops.matmul(bench.f32(rows, 64), bench.of("f16", 100, 64));
    const { kernel, bindings, args, grid, threads } = bench.launch();
    expect([kernel, threads, u32s(args)]).toEqual(["matmul_f16", 128, [100, 64]]);
    expect(bindings[3]).toEqual({ rowCount: { rows, factor: 1 } });
    expect(grid.map(groups)).toEqual([4, { many: 1, per: 32 }]);
  });

  test("matmul() uses the kernel that it is told to", () => {
    for (const kernel of ["matvec", "matvec_tiled", "matvec_rows", "matmul"] as const) {
      const bench = new Bench();
      ops.matmul(bench.f32(3, 64), bench.f32(100, 64), { kernel });
      expect(bench.launch().kernel).toBe(`${kernel}_f32`);
      const grids = { matvec: [13, 3], matvec_tiled: [13, 3], matvec_rows: [13, 1], matmul: [4, 1] };
      expect(bench.launch().grid.map(groups)).toEqual(grids[kernel]);
    }
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

describe("operations bound what they know", () => {
  test("argmax() results are accepted as indices below its row length", () => {
    const bench = new Bench();
    const picked = ops.gatherRows(bench.f32(7, 4), ops.argmax(bench.f32(2, 7)));
    expect(picked.shape.map(maximum)).toEqual([2, 4]);
  });
});
