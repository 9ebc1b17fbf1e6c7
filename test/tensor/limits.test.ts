import { describe, expect, test } from "bun:test";
import { LimitChecker, type WordLimit } from "../../src/tensor/limits.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import type { Rows } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** Words with values, and rows with a number, without a plan. */
class Bench {
  readonly nodes: Nodes = new Nodes();
  readonly rows: Rows = this.nodes.rows("rows", 8);
  readonly #values = new Map<Tensor, Uint32Array>();
  count = 8;

  words(name: string, shape: Rows | number | readonly number[], values: readonly number[]): Tensor {
    const tensor = this.nodes.words(name, shape);
    this.#values.set(tensor, Uint32Array.from(values));
    return tensor;
  }

  check(...limits: WordLimit[]): void {
    new LimitChecker(limits, {
      values: (tensor) => this.#values.get(tensor),
      size: (dimension) => (typeof dimension === "number" ? dimension : this.count),
    }).check();
  }
}

describe("LimitChecker on indices", () => {
  const below = (indices: Tensor, limit: number | Rows, except?: number): WordLimit => ({
    kind: "below",
    operation: "gatherRows",
    indices,
    of: "rows of x",
    limit,
    ...(except === undefined ? {} : { except }),
  });

  test("LimitChecker.check() names the index that is out of range", () => {
    const bench = new Bench();
    const picks = bench.words("picks", 3, [0, 4, 5]);
    expect(() => bench.check(below(picks, 5))).toThrow(
      "Cannot run the plan: picks[2] is 5, but gatherRows has 5 rows of x",
    );
    bench.check(below(picks, 6));
  });

  test("LimitChecker.check() looks at the rows of the run, not beyond", () => {
    const bench = new Bench();
    const picks = bench.words("picks", bench.rows, [0, 1, 99, 99, 99, 99, 99, 99]);
    bench.count = 2;
    bench.check(below(picks, 5));
    bench.count = 3;
    expect(() => bench.check(below(picks, 5))).toThrow("picks[2] is 99");
  });

  test("LimitChecker.check() holds indices to what rows are set to", () => {
    const bench = new Bench();
    const picks = bench.words("picks", 1, [3]);
    bench.count = 4;
    bench.check(below(picks, bench.rows));
    bench.count = 3;
    expect(() => bench.check(below(picks, bench.rows))).toThrow("has 3 rows of x");
  });

  test("LimitChecker.check() lets the exception pass", () => {
    const bench = new Bench();
    const picks = bench.words("picks", 2, [0xffff_ffff, 1]);
    bench.check(below(picks, 5, 0xffff_ffff));
    expect(() => bench.check(below(picks, 5))).toThrow("picks[0] is 4294967295");
  });
});

describe("LimitChecker on block tables", () => {
  const FREE = 0xffff_ffff;
  /** Two sequences of three blocks of four positions, in a cache of six blocks. */
  function check(
    positions: readonly number[],
    sequences: readonly number[],
    tables: readonly number[],
  ): void {
    const bench = new Bench();
    bench.count = positions.length;
    bench.check({
      kind: "blocks",
      operation: "attention",
      positions: bench.words("positions", bench.rows, positions),
      sequences: bench.words("sequences", bench.rows, sequences),
      blockTables: bench.words("tables", [2, 3], tables),
      blockSize: 4,
      blockCount: 6,
    });
  }

  test("LimitChecker.check() accepts entries that no row needs", () => {
    check([3, 7], [0, 1], [5, FREE, FREE, 0, 1, FREE]);
    check([], [], [FREE, FREE, FREE, FREE, FREE, FREE]);
  });

  test("LimitChecker.check() refuses an entry that a row needs", () => {
    expect(() => check([4], [0], [5, FREE, FREE, 0, 1, 2])).toThrow(
      "tables[0, 1] is 4294967295, but position 4 of the sequence needs it, and the cache has 6 blocks",
    );
    expect(() => check([0, 0, 11], [0, 1, 1], [5, FREE, FREE, 0, 1, 6])).toThrow("tables[1, 2] is 6");
  });

  test("LimitChecker.check() refuses positions and sequences beyond the tables", () => {
    expect(() => check([12], [0], [0, 1, 2, 3, 4, 5])).toThrow(
      "positions[0] is 12, but a block table of attention has room for 12 positions",
    );
    expect(() => check([0, 0], [0, 2], [0, 1, 2, 3, 4, 5])).toThrow(
      "sequences[1] is 2, but attention has 2 block tables",
    );
  });
});
