import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  add,
  attention,
  kvStore,
  matmul,
  mul,
  rmsNorm,
  rope,
  silu,
  softmax,
  type Tensor,
} from "../../src/tensor/index.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import { type Schedule, type ScheduleOptions, schedule } from "../../src/tensor/schedule.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { buildPure, randomRecipe } from "./recipe.ts";
import { phasesOf, simulate } from "./simulate.ts";

const target = { simdgroupMatrix: true };
const graphs = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  size: fc.integer({ min: 1, max: 40 }),
});

function built(seed: number, size: number): Nodes {
  const nodes = new Nodes();
  buildPure(nodes, randomRecipe(seed, size));
  return nodes;
}

function barrierCount({ steps }: Schedule): number {
  return steps.filter((step) => step.barrier).length;
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const rest = [...values];
  return values.flatMap(() => rest.splice(randomInteger(random, rest.length), 1));
}

describe("schedule() of random graphs", () => {
  test("schedule() is right in every order that its barriers allow", () => {
    fc.assert(
      fc.property(graphs, fc.integer(), ({ seed, size }, order) => {
        const nodes = built(seed, size);
        const made = schedule(nodes, target);
        const phases = phasesOf(made);
        const random = mulberry32(order);
        expect(simulate(nodes, made, phases.flat())).toBeUndefined();
        expect(
          simulate(
            nodes,
            made,
            phases.flatMap((phase) => phase.toReversed()),
          ),
        ).toBeUndefined();
        expect(
          simulate(
            nodes,
            made,
            phases.flatMap((phase) => shuffled(phase, random)),
          ),
        ).toBeUndefined();
      }),
      { numRuns: 150 },
    );
  });

  test("schedule() has no barrier that could be left out", () => {
    fc.assert(
      fc.property(graphs, ({ seed, size }) => {
        const nodes = built(seed, size);
        const made = schedule(nodes, target);
        const phases = phasesOf(made);
        for (let i = 1; i < phases.length; i++) {
          const [hasty, ...rest] = phases[i];
          const order = [...phases.slice(0, i - 1).flat(), hasty, ...phases[i - 1], ...rest];
          expect(simulate(nodes, made, [...order, ...phases.slice(i + 1).flat()])).toBeDefined();
        }
      }),
      { numRuns: 100 },
    );
  });

  test("schedule() pays no barrier for sharing memory, and never more memory than without", () => {
    fc.assert(
      fc.property(graphs, ({ seed, size }) => {
        const nodes = built(seed, size);
        const shared = schedule(nodes, target);
        const apart = schedule(nodes, target, { reuseMemory: false });
        expect(barrierCount(shared)).toBe(barrierCount(apart));
        expect(shared.arenaBytes).toBeLessThanOrEqual(apart.arenaBytes);
        expect(simulate(nodes, apart, apart.steps)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  test("schedule() is right without fusing and without reordering, with no fewer dispatches and barriers", () => {
    fc.assert(
      fc.property(graphs, ({ seed, size }) => {
        const nodes = built(seed, size);
        const best = schedule(nodes, target);
        const check = (options: ScheduleOptions): Schedule => {
          const other = schedule(nodes, target, options);
          const reversed = phasesOf(other).flatMap((phase) => phase.toReversed());
          expect(simulate(nodes, other, reversed)).toBeUndefined();
          return other;
        };
        expect(check({ fuse: false }).steps.length).toBeGreaterThanOrEqual(best.steps.length);
        expect(check({ reorder: false }).steps.length).toBe(best.steps.length);
      }),
      { numRuns: 60 },
    );
  });

  test("schedule() without barriers is found out", () => {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [1, 64]);
    nodes.output(softmax(silu(x)), "y");
    const made = schedule(nodes, target, { barriers: false });
    expect(barrierCount(made)).toBe(0);
    expect(simulate(nodes, made, made.steps.toReversed())).toContain("softmax reads");
  });
});

describe("schedule() places results", () => {
  const n = 64;
  const bytes = 4 * n;

  test("schedule() works in place where the kernel allows it and nobody else reads", () => {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [1, n]);
    const a = softmax(x);
    const b = silu(a);
    const c = add(b, x);
    nodes.output(softmax(c), "y");
    const { offsets, arenaBytes } = schedule(nodes, target);
    expect([a, b, c].map((tensor) => offsets.get(tensor))).toEqual([0, 0, 0]);
    expect(arenaBytes).toBe(bytes);
  });

  test("schedule() does not work in place on what is read beside it", () => {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [1, n]);
    const a = softmax(x);
    const b = silu(a); // in one phase with c, which reads a as well
    const c = softmax(a);
    nodes.output(mul(c, softmax(b)), "y");
    const { offsets } = schedule(nodes, target);
    expect(offsets.get(b)).not.toBe(offsets.get(a));
  });

  test("schedule() does not work in place where a thread reads what others write", () => {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [1, n]);
    const a = silu(x);
    const b = softmax(a);
    nodes.output(silu(b), "y");
    const { offsets, arenaBytes } = schedule(nodes, target);
    expect(offsets.get(b)).not.toBe(offsets.get(a));
    expect(arenaBytes).toBe(2 * bytes);
  });

  test("schedule() keeps outputs out of the arena", () => {
    const nodes = new Nodes();
    const y = silu(nodes.input("x", "f32", [1, n]));
    const z = softmax(y);
    nodes.output(y, "y");
    nodes.output(z, "z");
    expect(schedule(nodes, target)).toMatchObject({ arenaBytes: 0, offsets: new Map() });
  });

  test("schedule() plans a long chain in the memory of two results", () => {
    const nodes = new Nodes();
    let x = nodes.input("x", "f32", [4, n]);
    for (let i = 0; i < 100; i++) x = softmax(x);
    nodes.output(x, "y");
    expect(schedule(nodes, target).arenaBytes).toBe(2 * 4 * bytes);
  });
});

/** A Llama layer, in the order in which it is written down. */
function llamaLayer(nodes: Nodes, x: Tensor, index: number): Tensor {
  const dim = 64;
  const [kvDim, ffn, headDim] = [32, 96, 16];
  const weight = (n: number, k?: number): Tensor =>
    nodes.constant({ byteLength: 1 << 20 }, "f32", k === undefined ? [n] : [n, k]);
  const [rows] = x.shape;
  const words = (name: string): Tensor => nodes.words(`${name}${index}`, rows);
  const [positions, sequences, slots] = [words("positions"), words("sequences"), words("slots")];
  const turn = { headDim, layout: "interleaved" } as const;
  const cache = {
    keys: weight(32, kvDim),
    values: weight(32, kvDim),
    blockTables: nodes.words(`tables${index}`, [1, 2]),
    blockSize: 16,
  };
  const frequencies = weight(headDim / 2);
  const h = rmsNorm(x, weight(dim), { eps: 1e-5 });
  const q = rope(matmul(h, weight(dim, dim)), positions, frequencies, turn);
  const k = rope(matmul(h, weight(kvDim, dim)), positions, frequencies, turn);
  const v = matmul(h, weight(kvDim, dim));
  kvStore(k, v, slots, cache.keys, cache.values);
  const attended = attention(q, cache, positions, sequences, { headDim });
  const y = add(x, matmul(attended, weight(dim, dim)));
  const g = rmsNorm(y, weight(dim), { eps: 1e-5 });
  const gated = mul(silu(matmul(g, weight(ffn, dim))), matmul(g, weight(ffn, dim)));
  return add(y, matmul(gated, weight(dim, ffn)));
}

describe("schedule() of Llama layers", () => {
  function llama(layers: number): Nodes {
    const nodes = new Nodes();
    let x = nodes.input("x", "f32", [nodes.rows("rows", 8), 64]);
    for (let i = 0; i < layers; i++) x = llamaLayer(nodes, x, i);
    nodes.output(x, "y");
    return nodes;
  }

  test("schedule() of one layer: 15 dispatches in 11 phases", () => {
    const made = schedule(llama(1), target);
    expect(phasesOf(made).map((phase) => phase.map(({ dispatch }) => dispatch.kernel))).toEqual([
      ["rmsnorm_f32"],
      ["matmul_f32", "matmul_f32", "matmul_f32"],
      ["rope_interleaved_f32", "rope_interleaved_f32"],
      ["kv_store_f32"],
      ["attention_f32"],
      ["matmul_f32"],
      ["add_rmsnorm_f32"],
      ["matmul_f32", "matmul_f32"],
      ["silu_mul_f32"],
      ["matmul_f32"],
      ["add_f32"],
    ]);
  });

  test("schedule() adds 14 dispatches and 10 barriers for each further layer, and no memory", () => {
    const [one, two, three] = [1, 2, 3].map((layers) => schedule(llama(layers), target));
    expect([one, two, three].map(({ steps }) => steps.length)).toEqual([15, 29, 43]);
    expect([one, two, three].map(barrierCount)).toEqual([10, 20, 30]);
    expect(three.arenaBytes).toBe(two.arenaBytes);
  });

  test("schedule() without fusing and reordering needs more of both", () => {
    const plain = schedule(llama(1), target, { fuse: false, reorder: false });
    expect(plain.steps.length).toBe(17);
    expect(barrierCount(plain)).toBe(13);
  });

  test("schedule() of layers is right in reversed phases", () => {
    const nodes = llama(3);
    const made = schedule(nodes, target);
    const reversed = phasesOf(made).flatMap((phase) => phase.toReversed());
    expect(simulate(nodes, made, reversed)).toBeUndefined();
  });
});
