import { describe, expect, test } from "bun:test";
import {
  add,
  argmax,
  convert,
  gelu,
  kvStore,
  matmul,
  mul,
  rmsNorm,
  silu,
  type Tensor,
} from "../../src/tensor/index.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import { schedule } from "../../src/tensor/schedule.ts";

/** A graph over rows of 32, and the names of the operations that remain of it. */
class Bench {
  readonly nodes: Nodes = new Nodes();
  readonly a: Tensor = this.nodes.input("a", "f32", [3, 32]);
  readonly b: Tensor = this.nodes.input("b", "f32", [3, 32]);
  readonly weight: Tensor = this.nodes.input("weight", "f32", [32]);

  cache(): Tensor {
    return this.nodes.constant({ byteLength: 4096 }, "f32", [3, 32]);
  }

  store(keyCache: Tensor): void {
    kvStore(this.a, this.b, this.nodes.words(`slots${keyCache.id}`, 3), keyCache, this.cache());
  }

  scheduled(...outputs: Tensor[]): string[] {
    outputs.forEach((output, i) => {
      this.nodes.output(output, `out${i}`);
    });
    const { steps } = schedule(this.nodes, { simdgroupMatrix: true }, { reorder: false });
    return steps.map(({ operation }) => operation.name);
  }
}

describe("fuse() of silu and mul", () => {
  test("fuse() makes siluMul of either order of factors", () => {
    const first = new Bench();
    expect(first.scheduled(mul(silu(first.a), first.b))).toEqual(["siluMul"]);
    const second = new Bench();
    expect(second.scheduled(mul(second.b, silu(second.a)))).toEqual(["siluMul"]);
  });

  test("fuse() makes geluMul of gelu and mul", () => {
    const bench = new Bench();
    expect(bench.scheduled(mul(gelu(bench.a), bench.b))).toEqual(["geluMul"]);
  });

  test("fuse() keeps gate and up apart", () => {
    const { nodes, a, b } = new Bench();
    nodes.output(mul(b, silu(a)), "y");
    const [step] = schedule(nodes, { simdgroupMatrix: true }).steps;
    expect(step.operation.inputs).toEqual([a, b]);
  });

  test("fuse() takes one of two silus", () => {
    const bench = new Bench();
    expect(bench.scheduled(mul(silu(bench.a), silu(bench.b)))).toEqual(["silu", "siluMul"]);
  });

  test("fuse() leaves a silu that another operation reads", () => {
    const bench = new Bench();
    const gate = silu(bench.a);
    expect(bench.scheduled(add(mul(gate, bench.b), gate))).toEqual(["silu", "mul", "add"]);
  });

  test("fuse() leaves a silu that is kept", () => {
    const bench = new Bench();
    const gate = silu(bench.a);
    expect(bench.scheduled(gate, mul(gate, bench.b))).toEqual(["silu", "mul"]);
  });

  test("fuse() leaves a silu times itself", () => {
    const bench = new Bench();
    const gate = silu(bench.a);
    expect(bench.scheduled(mul(gate, gate))).toEqual(["silu", "mul"]);
  });

  test("fuse() does not count readers that nobody needs", () => {
    const bench = new Bench();
    const gate = silu(bench.a);
    add(gate, bench.b);
    expect(bench.scheduled(mul(gate, bench.b))).toEqual(["siluMul"]);
  });

  test("fuse() leaves a silu of a cache that is stored to before the mul", () => {
    const bench = new Bench();
    const cache = bench.cache();
    const gate = silu(cache);
    bench.store(cache);
    expect(bench.scheduled(mul(gate, bench.b))).toEqual(["silu", "kvStore", "mul"]);
    const other = new Bench();
    const otherGate = silu(other.cache());
    other.store(other.cache());
    expect(other.scheduled(mul(otherGate, other.b))).toEqual(["kvStore", "siluMul"]);
  });
});

describe("fuse() of add and rmsNorm", () => {
  test("fuse() makes addRmsNorm and keeps the sum for others", () => {
    const bench = new Bench();
    const sum = add(bench.a, bench.b);
    const y = rmsNorm(sum, bench.weight, { eps: 1e-5 });
    expect(bench.scheduled(add(sum, y))).toEqual(["addRmsNorm", "add"]);
  });

  test("fuse() leaves a norm of parts of the sum", () => {
    const bench = new Bench();
    const half = bench.nodes.input("half", "f32", [16]);
    expect(bench.scheduled(rmsNorm(add(bench.a, bench.b), half, { eps: 0 }))).toEqual(["add", "rmsNorm"]);
  });

  test("fuse() keeps the sum where it is an output", () => {
    const bench = new Bench();
    const sum = add(bench.a, bench.b);
    expect(bench.scheduled(sum, rmsNorm(sum, bench.weight, { eps: 0 }))).toEqual(["addRmsNorm"]);
  });

  test("fuse() carries the epsilon and the operands over", () => {
    const { nodes, a, b, weight } = new Bench();
    nodes.output(rmsNorm(add(a, b), weight, { eps: 0.25 }), "y");
    const [{ operation, dispatch }] = schedule(nodes, { simdgroupMatrix: true }).steps;
    expect(operation.inputs).toEqual([a, b, weight]);
    expect(new Float32Array(dispatch.args.buffer)[1]).toBe(0.25);
  });

  test("fuse() takes the first of two norms of a sum", () => {
    const bench = new Bench();
    const sum = add(bench.a, bench.b);
    const first = rmsNorm(sum, bench.weight, { eps: 0 });
    const second = rmsNorm(sum, bench.weight, { eps: 1 });
    expect(bench.scheduled(first, second)).toEqual(["addRmsNorm", "rmsNorm"]);
  });

  test("fuse() leaves a sum that is only the weight of a norm", () => {
    const { nodes, a } = new Bench();
    const row = nodes.input("row", "f32", [32]);
    nodes.output(rmsNorm(a, add(row, row), { eps: 0 }), "y");
    const { steps } = schedule(nodes, { simdgroupMatrix: true });
    expect(steps.map(({ operation }) => operation.name)).toEqual(["add", "rmsNorm"]);
  });

  test("fuse() leaves a norm whose weight is made after the sum", () => {
    const late = new Bench();
    const sum = add(late.a, late.b);
    const weight = convert(late.weight, "f32");
    expect(late.scheduled(rmsNorm(sum, weight, { eps: 0 }))).toEqual(["add", "convert", "rmsNorm"]);
    const early = new Bench();
    const ready = convert(early.weight, "f32");
    const y = rmsNorm(add(early.a, early.b), ready, { eps: 0 });
    expect(early.scheduled(y)).toEqual(["convert", "addRmsNorm"]);
  });

  test("fuse() leaves a norm whose weight is stored to after the sum", () => {
    const bench = new Bench();
    const buffer = { byteLength: 4096 };
    const weight = bench.nodes.constant(buffer, "f32", [32], 128);
    const sum = add(bench.a, bench.b);
    bench.store(bench.nodes.constant(buffer, "f32", [3, 32]));
    expect(bench.scheduled(rmsNorm(sum, weight, { eps: 0 }))).toEqual(["add", "kvStore", "rmsNorm"]);
  });

  test("fuse() does neither when told not to", () => {
    const { nodes, a, b, weight } = new Bench();
    nodes.output(rmsNorm(add(mul(silu(a), b), b), weight, { eps: 0 }), "y");
    const { steps } = schedule(nodes, { simdgroupMatrix: true }, { fuse: false });
    expect(steps.map(({ operation }) => operation.name)).toEqual(["silu", "mul", "add", "rmsNorm"]);
  });
});

describe("fuse() of products of one row", () => {
  /** A layer's second half over `rows` rows. */
  function half(rows: number): { nodes: Nodes; x: Tensor; names: () => string[] } {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [rows, 32]);
    return {
      nodes,
      x,
      names: () =>
        schedule(nodes, { simdgroupMatrix: true }, { reorder: false }).steps.map(
          ({ operation }) => operation.name,
        ),
    };
  }

  function feedForward(nodes: Nodes, x: Tensor): Tensor {
    const matrix = (name: string): Tensor => nodes.input(name, "q8_0", [32, 32]);
    const h = rmsNorm(x, nodes.input("norm", "f32", [32]), { eps: 0.5 });
    const gate = matmul(h, matrix("gate"));
    const up = matmul(h, matrix("up"));
    return add(x, matmul(mul(silu(gate), up), matrix("down")));
  }

  test("fuse() makes two products of norm, gate, up, silu, mul, down and add", () => {
    const { nodes, x, names } = half(1);
    nodes.output(feedForward(nodes, x), "y");
    expect(names()).toEqual(["matvecFused", "matvecFused"]);
  });

  test("fuse() leaves batches to the kernels for them", () => {
    const { nodes, x, names } = half(2);
    nodes.output(feedForward(nodes, x), "y");
    expect(names()).toEqual(["rmsNorm", "matmul", "matmul", "siluMul", "matmul", "add"]);
  });

  test("fuse() keeps a norm that something else reads", () => {
    const { nodes, x, names } = half(1);
    const h = rmsNorm(x, nodes.input("norm", "f32", [32]), { eps: 0 });
    nodes.output(add(h, matmul(h, nodes.input("w", "f32", [32, 32]))), "y");
    expect(names()).toEqual(["rmsNorm", "matvecFused"]);
    const kept = half(1);
    const out = rmsNorm(kept.x, kept.nodes.input("norm", "f32", [32]), { eps: 0 });
    kept.nodes.output(out, "h");
    kept.nodes.output(matmul(out, kept.nodes.input("w", "f32", [32, 32])), "y");
    expect(kept.names()).toEqual(["rmsNorm", "matmul"]);
  });

  test("fuse() keeps a product that is an output, or is added to itself", () => {
    const { nodes, x, names } = half(1);
    const product = matmul(x, nodes.input("w", "f32", [32, 32]));
    nodes.output(product, "p");
    nodes.output(add(x, product), "y");
    expect(names()).toEqual(["matmul", "add"]);
    const twice = half(1);
    const y = matmul(twice.x, twice.nodes.input("w", "f32", [32, 32]));
    twice.nodes.output(add(y, y), "y");
    expect(twice.names()).toEqual(["matmul", "add"]);
  });

  test("fuse() takes gates of one type and one input only", () => {
    const { nodes, x, names } = half(1);
    const gate = matmul(x, nodes.input("gate", "q8_0", [32, 32]));
    const up = matmul(x, nodes.input("up", "q4_0", [32, 32]));
    nodes.output(mul(silu(gate), up), "y");
    expect(names()).toEqual(["matmul", "matmul", "siluMul"]);
    const others = half(1);
    const z = others.nodes.input("z", "f32", [1, 32]);
    const first = matmul(others.x, others.nodes.input("gate", "q8_0", [32, 32]));
    const second = matmul(z, others.nodes.input("up", "q8_0", [32, 32]));
    others.nodes.output(mul(silu(first), second), "y");
    expect(others.names()).toEqual(["matmul", "matmul", "siluMul"]);
  });

  test("fuse() never lets a result take the place of a residual that the product reads", () => {
    const { nodes, x } = half(1);
    const h = silu(x);
    nodes.output(silu(add(h, matmul(h, nodes.input("w", "f32", [32, 32])))), "y");
    const { steps, offsets } = schedule(nodes, { simdgroupMatrix: true });
    expect(steps.map(({ operation }) => operation.name)).toEqual(["silu", "matvecFused", "silu"]);
    const [, product] = steps;
    expect(offsets.get(product.operation.outputs[0])).not.toBe(offsets.get(h));
  });

  test("fuse() packs what the kernel reads", () => {
    const { nodes, x } = half(1);
    nodes.output(feedForward(nodes, x), "y");
    const [gated, down] = schedule(nodes, { simdgroupMatrix: true }).steps.map(({ dispatch }) => dispatch);
    expect([...new Uint32Array(gated.args.buffer)].toSpliced(3, 1)).toEqual([32, 32, 1, 2]);
    expect(new Float32Array(gated.args.buffer)[3]).toBe(0.5);
    expect([...new Uint32Array(down.args.buffer)].toSpliced(3, 1)).toEqual([32, 32, 0, 1]);
    expect(down.bindings[4]).toBe(x);
    expect([gated.kernel, down.kernel]).toEqual(["matvec_fused_q8_0", "matvec_fused_q8_0"]);
  });
});

describe("schedule() of what is needed", () => {
  test("schedule() leaves out what leads to no output, but never a store", () => {
    const bench = new Bench();
    argmax(bench.a);
    bench.store(bench.cache());
    silu(bench.b);
    expect(bench.scheduled(silu(bench.a))).toEqual(["kvStore", "silu"]);
  });

  test("schedule() refuses a graph that computes nothing", () => {
    const bench = new Bench();
    silu(bench.a);
    expect(() => bench.scheduled()).toThrow("Cannot compile a graph that computes nothing");
  });
});
