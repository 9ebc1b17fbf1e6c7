import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { countNativeCalls, Device, ReleasedError } from "../../src/runtime/index.ts";
import {
  add,
  argmax,
  attention,
  convert,
  embed,
  Graph,
  gatherRows,
  kvStore,
  matmul,
  type Plan,
  rmsNorm,
  SKIPPED_SLOT,
  silu,
  softmax,
} from "../../src/tensor/index.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { Execution } from "./execute.ts";
import { MAX_PICKED, MAX_ROWS, randomRecipe } from "./recipe.ts";

let device: Device;
beforeAll(() => {
  device = Device.open();
  device.shaders();
  device.queue.idle(); // makes the queue, so that no test counts it
});
afterAll(() => device.dispose());

/** Runs a graph of one function of x [rows<=max, n], with its output "y". */
function planOf(max: number, n: number, build: (x: ReturnType<Graph["input"]>, graph: Graph) => void): Plan {
  const graph = new Graph(device);
  build(graph.input("x", "f32", [graph.rows("rows", max), n]), graph);
  return graph.compile();
}

describe("Plan for a first user", () => {
  test("Plan computes what ten lines ask for", () => {
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [2, 3]);
    const weight = graph.input("weight", "f32", [2, 3]);
    graph.output(softmax(matmul(x, weight)), "y"); // [2, 2]
    using plan = graph.compile();
    plan
      .set("x", [1, 0, 0, 0, 1, 0])
      .set("weight", [Math.log(3), 0, 5, 0, Math.log(4), 6])
      .run();
    const expected = [0.75, 0.25, 0.2, 0.8];
    plan.f32("y").forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 6);
    });
  });

  test("Plan keeps inputs from run to run", () => {
    using plan = planOf(2, 4, (x, graph) =>
      graph.output(add(x, graph.input("b", "f32", [x.shape[0], 4])), "y"),
    );
    plan.setRows("rows", 1).set("x", [1, 2, 3, 4]).set("b", [10, 20, 30, 40]).run();
    plan.set("x", [5, 6, 7, 8]).run();
    expect([...plan.f32("y").subarray(0, 4)]).toEqual([15, 26, 37, 48]);
  });

  test("Plan takes other types as bytes, and gives them as bytes", () => {
    const graph = new Graph(device);
    const x = graph.input("x", "f16", [1, 4]);
    graph.output(convert(x, "f16"), "y");
    using plan = graph.compile();
    const halves = new Float16Array([1, -2, 0.5, 65504]);
    plan.set("x", halves).run();
    expect(new Uint8Array(plan.bytes("y"))).toEqual(new Uint8Array(halves.buffer));
    expect(() => plan.set("x", [1, 2, 3, 4])).toThrow("give its bytes");
    expect(() => plan.f32("y")).toThrow('"y" is f16 [1, 4], not f32');
  });

  test("Plan.describe() lists dispatches and barriers", () => {
    using plan = planOf(4, 8, (x, graph) => graph.output(silu(add(x, x)), "y"));
    expect(plan.describe().split("\n")).toEqual([
      "2 dispatches, 1 barriers, arena of 256 bytes",
      "   0 add add_f32 <1 x rows; 256>: x f32 [rows<=4, 8], x f32 [rows<=4, 8] -> arena+0 f32 [rows<=4, 8]",
      "     ---- barrier",
      "   1 silu silu_f32 <1 x rows; 256>: arena+0 f32 [rows<=4, 8] -> output#2 f32 [rows<=4, 8]",
    ]);
    expect([plan.dispatchCount, plan.barrierCount, plan.arenaBytes]).toEqual([2, 1, 256]);
  });
});

describe("Plan of random graphs", () => {
  const seeds = Array.from({ length: 40 }, (_, i) => 1000 + i);
  test.each(seeds)("Plan of random graph %d agrees with the reference", (seed) => {
    using execution = new Execution(device, randomRecipe(seed, 24));
    for (let rows = 0; rows <= MAX_ROWS; rows += 2 + (seed % 2)) {
      const picked = rows === 0 ? 0 : seed % (MAX_PICKED + 1);
      expect(execution.error({ rows, picked })).toBeLessThan(2e-4);
    }
    expect(execution.error({ rows: MAX_ROWS, picked: MAX_PICKED })).toBeLessThan(2e-4);
  });

  test("Plan without fusing, reordering and sharing memory gives the same numbers", () => {
    for (const seed of seeds.slice(0, 10)) {
      const recipe = randomRecipe(seed, 24);
      using plain = new Execution(device, recipe, { fuse: false, reorder: false, reuseMemory: false });
      expect(plain.error({ rows: MAX_ROWS, picked: MAX_PICKED })).toBeLessThan(2e-4);
    }
  });
});

describe("Plan with dynamic rows", () => {
  const n = 24;
  const values = gaussianArray(mulberry32(7), 40 * n);
  const weights = gaussianArray(mulberry32(8), n * n, 0.2);

  for (const kernel of ["matvec", "matvec_tiled", "matvec_rows", "matmul"] as const) {
    test(`Plan of ${kernel} makes exactly the rows that are set`, () => {
      const graph = new Graph(device);
      const x = graph.input("x", "f32", [graph.rows("rows", 40), n]);
      graph.output(matmul(x, graph.input("w", "f32", [n, n]), { kernel }), "y");
      using plan = graph.compile();
      plan.set("x", values).set("w", weights);
      for (const rows of [0, 1, 2, 7, 8, 31, 32, 33, 40]) {
        const y = plan.f32("y").fill(Number.NaN);
        plan.setRows("rows", rows).run();
        expect(y.subarray(rows * n).every(Number.isNaN)).toBe(true);
        for (let r = 0; r < rows; r++) {
          for (let i = 0; i < n; i++) {
            let expected = 0;
            for (let j = 0; j < n; j++) expected += values[r * n + j] * weights[i * n + j];
            expect(Math.abs(y[r * n + i] - expected)).toBeLessThan(1e-4);
          }
        }
      }
    });
  }

  test("Plan of matmul with fixed rows gives the kernel their number", () => {
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [33, n]);
    graph.output(matmul(x, graph.input("w", "f32", [n, n]), { kernel: "matmul" }), "y");
    using plan = graph.compile();
    const identity = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
    plan
      .set("x", values.subarray(0, 33 * n))
      .set("w", identity)
      .run();
    // Tensor cores take a number in two parts, of 8 bits each at least.
    const y = plan.f32("y");
    for (const [i, value] of values.subarray(0, 33 * n).entries())
      expect(Math.abs(y[i] - value)).toBeLessThanOrEqual(2 ** -16 * Math.abs(value));
  });

  test("Plan follows multiples of its rows", () => {
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [graph.rows("rows", 4), 3, 2]);
    graph.output(softmax(x), "y");
    using plan = graph.compile();
    plan.set("x", new Float32Array(24)).f32("y").fill(-1);
    plan.setRows("rows", 2).run();
    expect([...plan.f32("y")]).toEqual([...new Array(12).fill(0.5), ...new Array(12).fill(-1)]);
  });

  test("Plan.setRows() refuses what is not between 0 and the maximum, and names that are not there", () => {
    using plan = planOf(4, 8, (x, graph) => graph.output(silu(x), "y"));
    for (const count of [-1, 5, 1.5, Number.NaN, 2 ** 32]) {
      expect(() => plan.setRows("rows", count)).toThrow(
        `Cannot set rows "rows" to "${count}": it must be a whole number from 0 to 4`,
      );
    }
    expect(() => plan.setRows("columns", 1)).toThrow('no rows "columns"; it has "rows"');
  });

  test("Plan.run() refuses to guess a number of rows", async () => {
    using plan = planOf(4, 8, (x, graph) => graph.output(silu(x), "y"));
    expect(() => plan.run()).toThrow('rows "rows" were never set');
    await expect(plan.runAsync()).rejects.toThrow('rows "rows" were never set');
  });
});

describe("Plan with indices", () => {
  test("Plan.run() refuses indices that are out of range, before anything runs", () => {
    using plan = planOf(4, 2, (x, graph) => {
      graph.output(gatherRows(x, graph.words("picks", graph.rows("picked", 4))), "y");
    });
    plan.set("x", [1, 2, 3, 4, 5, 6, 7, 8]).setRows("rows", 3).setRows("picked", 2);
    plan.set("picks", [2, 0]).run();
    expect([...plan.f32("y").subarray(0, 4)]).toEqual([5, 6, 1, 2]);
    plan.u32("picks")[1] = 3; // in x, but not in its rows of this run
    expect(() => plan.run()).toThrow("picks[1] is 3, but gatherRows has 3 rows of x");
    plan.setRows("rows", 4).run();
    expect([...plan.f32("y").subarray(0, 4)]).toEqual([5, 6, 7, 8]);
  });

  test("Plan.run() checks indices in inputs and constants as well", () => {
    const graph = new Graph(device);
    using constant = device.bufferFrom(new Uint32Array([0, 9, 1]));
    const x = graph.input("x", "f32", [3, 1]);
    graph.output(gatherRows(x, graph.input("picks", "u32", [1])), "y");
    graph.output(gatherRows(x, graph.constant(constant, "u32", [2], 4)), "z");
    using plan = graph.compile();
    expect(() => plan.run()).toThrow("is 9, but gatherRows has 3 rows of x");
    constant.upload(new Uint32Array([2]), 4);
    plan.set("x", [10, 20, 30]).set("picks", [1]).run();
    expect([...plan.f32("y"), ...plan.f32("z")]).toEqual([20, 30, 20]);
    plan.set("picks", [3]);
    expect(() => plan.run()).toThrow("picks[0] is 3");
  });

  test("Plan gives argmax on to gatherRows without the CPU", () => {
    const graph = new Graph(device);
    const scores = graph.input("scores", "f32", [2, 3]);
    const best = argmax(scores);
    graph.output(best, "best");
    graph.output(gatherRows(graph.input("x", "f32", [3, 1]), best), "y");
    using plan = graph.compile();
    plan.set("scores", [1, 9, 2, 7, 5, 7]).set("x", [10, 20, 30]).run();
    expect([...plan.u32("best")]).toEqual([1, 0]);
    expect([...plan.f32("y")]).toEqual([20, 10]);
  });

  test("Plan embeds tokens of each type of table", () => {
    const graph = new Graph(device);
    const tokens = graph.words("tokens", graph.rows("rows", 3));
    graph.output(embed(graph.input("table", "q8_0", [2, 32]), tokens), "y");
    using plan = graph.compile();
    const table = new DataView(new ArrayBuffer(68));
    for (const row of [0, 1]) {
      table.setFloat16(34 * row, 0.5, true);
      for (let i = 0; i < 32; i++) table.setInt8(34 * row + 2 + i, row === 0 ? i : -i);
    }
    plan.set("table", table).set("tokens", [1, 0, 2]).setRows("rows", 3).run(); // 2 is not in the table
    const expected = [-0.5, 0.5, 0].flatMap((scale) => Array.from({ length: 32 }, (_, i) => scale * i + 0));
    expect([...plan.f32("y")].map((value) => value + 0)).toEqual(expected);
  });

  test("Plan.set() refuses numbers that are no words", () => {
    using plan = planOf(4, 2, (x, graph) => graph.output(gatherRows(x, graph.words("picks", 2)), "y"));
    for (const bad of [-1, 0.5, 2 ** 32, Number.NaN]) {
      expect(() => plan.set("picks", [0, bad])).toThrow(`value 1 is ${bad}, not a whole number`);
    }
  });
});

describe("Plan with a cache", () => {
  const dim = 8;

  function cachePlan(keys: ReturnType<Device["buffer"]>, values: ReturnType<Device["buffer"]>): Plan {
    const graph = new Graph(device);
    const rows = graph.rows("rows", 4);
    const x = graph.input("x", "f32", [rows, dim]);
    const cache = {
      keys: graph.constant(keys, "f16", [8, dim]),
      values: graph.constant(values, "f16", [8, dim]),
      blockTables: graph.words("tables", [1, 4]),
      blockSize: 2,
    };
    kvStore(x, x, graph.words("slots", rows), cache.keys, cache.values);
    const [positions, sequences] = [graph.words("positions", rows), graph.words("sequences", rows)];
    graph.output(attention(x, cache, positions, sequences, { headDim: dim }), "y");
    return graph.compile();
  }

  test("Plan sees in one run what earlier runs stored, and stores no skipped row", () => {
    using keys = device.buffer(8 * dim * 2);
    using values = device.buffer(8 * dim * 2);
    using plan = cachePlan(keys, values);
    plan.set("tables", [3, 1, 0, 2]).set("sequences", [0, 0, 0, 0]);
    const ones = new Float32Array(dim).fill(1);
    plan.setRows("rows", 1).set("x", ones).set("slots", [6]).set("positions", [0]).run();
    expect([...plan.f32("y").subarray(0, dim)]).toEqual([...ones]);
    // A key of zeros scores 0; the key of ones scores 8 / sqrt(8) for a query of ones, 0 for the query of zeros.
    plan.set("x", new Float32Array(dim)).set("slots", [7]).set("positions", [1]).run();
    expect(plan.f32("y")[0]).toBeCloseTo(0.5, 5);
    const before = new Uint8Array(keys.bytes());
    plan.set("x", ones).set("slots", [SKIPPED_SLOT]).run();
    expect(new Uint8Array(keys.bytes())).toEqual(before);
    expect(plan.f32("y")[0]).toBeCloseTo(1 / (1 + Math.exp(-dim / Math.sqrt(dim))), 4);
  });

  test("Plan.run() refuses slots and blocks outside of the cache", () => {
    using keys = device.buffer(8 * dim * 2);
    using values = device.buffer(8 * dim * 2);
    using plan = cachePlan(keys, values);
    plan.setRows("rows", 1).set("x", new Float32Array(dim)).set("slots", [8]);
    expect(() => plan.run()).toThrow("slots[0] is 8, but kvStore has 8 slots of the cache");
    plan.set("slots", [0]).set("tables", [4, 0, 0, 0]);
    expect(() => plan.run()).toThrow("tables[0, 0] is 4");
    plan.set("tables", [0, 0, 0, 0]).set("positions", [8]);
    expect(() => plan.run()).toThrow("has room for 8 positions");
    plan.set("positions", [7]).set("sequences", [1]);
    expect(() => plan.run()).toThrow("attention has 1 block tables");
    plan.set("sequences", [0]).run();
  });
});

describe("Plan.set", () => {
  test("Plan.set() refuses values that do not fit, outputs, and unknown names", () => {
    using plan = planOf(4, 2, (x, graph) => graph.output(silu(add(x, x)), "y"));
    plan.set("x", [1, 2]).set("x", new Float32Array(8));
    expect(() => plan.set("x", [1, 2, 3])).toThrow("from 3 values: it takes a multiple of 2, at most 8");
    expect(() => plan.set("x", new Float32Array(10))).toThrow("from 10 values");
    expect(() => plan.set("x", [])).toThrow("from 0 values");
    expect(() => plan.set("x", new DataView(new ArrayBuffer(8)))).toThrow("give a typed array");
    expect(() => plan.set("y", [1, 2])).toThrow("it is an output");
    expect(() => plan.set("z", [1, 2])).toThrow('no tensor "z"; it has "x", "y"');
    expect(() => plan.u32("x")).toThrow('"x" is f32 [rows<=4, 2], not u32');
  });
});

describe("Plan.runAsync", () => {
  test("Plan.runAsync() takes the words at the call, so that the next may be written at once", async () => {
    using counts = device.buffer(64 * 4);
    const graph = new Graph(device);
    const rows = graph.rows("rows", 1);
    const x = embed(graph.input("table", "f32", [64, 1]), graph.words("token", rows));
    kvStore(
      x,
      x,
      graph.words("slot", rows),
      graph.constant(counts, "f32", [32, 1]),
      graph.constant(counts, "f32", [32, 1], 128),
    );
    using plan = graph.compile();
    plan
      .set(
        "table",
        Array.from({ length: 64 }, (_, i) => 100 + i),
      )
      .setRows("rows", 1);
    const runs: Promise<void>[] = [];
    for (let i = 0; i < 32; i++) {
      plan.u32("token")[0] = i;
      plan.u32("slot")[0] = 31 - i;
      runs.push(plan.runAsync());
    }
    await Promise.all(runs);
    const expected = Array.from({ length: 32 }, (_, i) => 131 - i);
    expect([...counts.view(Float32Array)]).toEqual([...expected, ...expected]);
  });

  test("Plan.runEachAsync() runs with the words of each, and nothing at all where one is wrong", async () => {
    const graph = new Graph(device);
    using sums = device.buffer(8 * 4);
    const rows = graph.rows("rows", 2);
    const x = embed(graph.input("table", "f32", [64, 1]), graph.words("token", rows));
    const [keys, values] = [graph.constant(sums, "f32", [4, 1]), graph.constant(sums, "f32", [4, 1], 16)];
    kvStore(x, x, graph.words("slot", rows), keys, values);
    using plan = graph.compile();
    plan.set(
      "table",
      Float32Array.from({ length: 64 }, (_, i) => 100 + i),
    );
    const prepare = (run: number): void => {
      plan.setRows("rows", 1 + (run % 2));
      plan.u32("token").set([run, 10 + run]);
      plan.u32("slot").set([0, 1 + ((run >> 1) % 3)]);
    };
    using count = countNativeCalls();
    await plan.runEachAsync(5, prepare);
    expect(Object.fromEntries(count.calls)).toEqual({ bm_program_submit: 1 });
    expect([...sums.view(Float32Array).subarray(0, 4)]).toEqual([104, 111, 113, 0]);

    const wrong = (run: number): void => {
      prepare(run + 5);
      if (run === 2) plan.u32("slot")[0] = 4;
    };
    expect(() => plan.runEachAsync(4, wrong)).toThrow("slot[0] is 4");
    expect(() => plan.runEachAsync(2, () => expect.unreachable())).toThrow();
    expect(count.calls.get("bm_program_submit")).toBe(1);
    for (const runs of [0, 65, 1.5]) {
      expect(() => plan.runEachAsync(runs, () => expect.unreachable())).toThrow(
        `${runs} times in one submission`,
      );
    }
    await plan.runEachAsync(3, prepare);
    expect([...sums.view(Float32Array).subarray(0, 4)]).toEqual([102, 111, 113, 0]);
  });

  test("Plan.run() is one native call, and makes no native object", () => {
    using plan = planOf(4, 64, (x, graph) => {
      graph.output(rmsNorm(silu(x), graph.input("w", "f32", [64]), { eps: 1e-5 }), "y");
    });
    plan.setRows("rows", 1).run();
    const before = Device.liveHandles();
    using count = countNativeCalls();
    for (let rows = 0; rows <= 4; rows++) plan.setRows("rows", rows).run();
    expect(Object.fromEntries(count.calls)).toEqual({ bm_program_run: 5 });
    expect(Device.liveHandles()).toEqual(before);
  });
});

describe("Plan owns what it made", () => {
  test("Plan returns all its objects when disposed, constants aside", async () => {
    for (const kernel of ["silu_f32", "softmax_f32"]) device.shaders().pipeline(kernel);
    using constant = device.bufferFrom(new Float32Array(8));
    const before = Device.liveHandles();
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [1, 8]);
    graph.output(softmax(silu(graph.constant(constant, "f32", [1, 8]))), "y");
    graph.output(silu(x), "z");
    const plan = graph.compile();
    const y = plan.f32("y");
    plan.run();
    expect(Device.liveHandles()).toEqual({
      ...before,
      buffer: before.buffer + 4,
      program: before.program + 1,
    });
    plan[Symbol.dispose]();
    plan[Symbol.dispose]();
    expect(Device.liveHandles()).toEqual(before);
    expect(y.length).toBe(0); // ended with its buffer
    expect(constant.view(Float32Array).length).toBe(8);
    expect(() => plan.run()).toThrow(ReleasedError);
    await expect(plan.runAsync()).rejects.toThrow(ReleasedError);
  });

  test("Plan that cannot be made leaves nothing behind", () => {
    const before = Device.liveHandles();
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [1, 8]);
    graph.output(silu(x), "y");
    graph.output(silu(graph.input("huge", "f32", [2 ** 20, 2 ** 29])), "z");
    expect(() => graph.compile()).toThrow("buffer of 2251799813685248 bytes");
    expect(Device.liveHandles()).toEqual(before);
  });

  test("Plan may be disposed with runs in flight", async () => {
    const plan = planOf(64, 64, (x, graph) => graph.output(softmax(silu(x)), "y"));
    plan.setRows("rows", 64);
    const runs = Array.from({ length: 8 }, () => plan.runAsync());
    plan[Symbol.dispose]();
    await Promise.all(runs);
  });

  test("Graph refuses constants of another device", () => {
    using other = Device.open();
    using buffer = other.buffer(64, { label: "stray" });
    expect(() => new Graph(device).constant(buffer, "f32", [4])).toThrow("lives on another device");
  });

  test("Graph may grow and be compiled again", () => {
    const graph = new Graph(device);
    const x = graph.input("x", "f32", [1, 4]);
    const y = silu(x);
    graph.output(y, "y");
    using first = graph.compile();
    graph.output(add(y, y), "z");
    using second = graph.compile();
    first.set("x", [1, 2, 3, 4]).run();
    second.set("x", [0, 0, 0, 1]).run();
    expect(second.f32("z")[3]).toBeCloseTo(2 * first.f32("y")[0], 6);
  });
});
