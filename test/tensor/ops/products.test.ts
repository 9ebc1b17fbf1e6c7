// Products with weights, experts, rows by index: what they refuse, what shapes they give, how they launch their kernels.
import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/tensor/index.ts";
import { maximum } from "../../../src/tensor/shape.ts";
import { Bench, groups, testRefusals, testShapes, u32s } from "./bench.ts";

testShapes([
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
  ["matmul", (b) => ops.matmul(b.f32(b.rows, 64), b.of("q8_0", 3, 64)), "f32 [rows<=8, 3]"],
  ["embed", (b) => ops.embed(b.of("f16", 7, 4), b.u32(b.rows)), "f32 [rows<=8, 4]"],
  ["gatherRows", (b) => ops.gatherRows(b.f32(b.rows, 4), b.u32(b.others)), "f32 [others<=8, 4]"],
  ["argmax", (b) => ops.argmax(b.f32(b.rows, 4)), "u32 [rows<=8]"],
]);

testRefusals([
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
  [
    "matmul inner",
    (b) => ops.matmul(b.f32(2, 3), b.f32(3, 4)),
    RangeError,
    "dimension 1 of weight must be 3",
  ],
  ["matmul of types", (b) => ops.matmul(b.of("f16", 2, 3), b.f32(4, 3)), TypeError, "x must be f32, not f16"],
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
  ["gatherRows of rank", (b) => ops.gatherRows(b.f32(7, 4), b.u32(2, 2)), RangeError, "indices must have 1"],
  [
    "gatherRows by argmax over more",
    (b) => ops.gatherRows(b.f32(7, 4), ops.argmax(b.f32(2, 8))),
    RangeError,
    "indices can be up to 7, beyond the rows of x",
  ],
  ["argmax of rank", (b) => ops.argmax(b.f32(4)), RangeError, "x must have 2 dimensions"],
]);

describe("operations launch their kernels as the shaders expect", () => {
  test("matmulExperts() shares a row among its experts, or has a row for each", () => {
    const bench = new Bench();
    ops.matmulExperts(bench.f32(bench.rows, 32), bench.of("f16", 8, 20, 32), bench.routes());
    const { kernel, args, grid } = bench.launch();
    expect([kernel, u32s(args)]).toEqual(["matvec_experts_f16", [20, 32, 8, 2]]);
    expect(grid.map(groups)).toEqual([3, { rows: 2, per: 1 }]);
    ops.matmulExperts(bench.f32(bench.rows, 2, 32), bench.of("f16", 8, 20, 32), bench.routes());
    expect(u32s(bench.launch().args)).toEqual([20, 32, 8, 1]);
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

test("errors name the operation with all operands", () => {
  const bench = new Bench();
  expect(() => ops.matmul(bench.f32(bench.rows, 64), bench.of("q8_0", 7, 32))).toThrow(
    "Cannot build matmul(x: f32 [rows<=8, 64], weight: q8_0 [7, 32]): dimension 1 of weight must be 64 " +
      "(the row length of x; a weight is [outputs, inputs])",
  );
});

test("argmax() results are accepted as indices below its row length", () => {
  const bench = new Bench();
  const picked = ops.gatherRows(bench.f32(7, 4), ops.argmax(bench.f32(2, 7)));
  expect(picked.shape.map(maximum)).toEqual([2, 4]);
});
