// Random graphs, as recipes: a list of leaves and steps that can be built as a tensor graph and interpreted by the
// reference. Wide enough to have every operation, residuals, caches that are stored to and read, and dead ends.

import {
  add,
  addBias,
  argmax,
  attention,
  attentionScores,
  attentionWeightedSum,
  convert,
  type DType,
  embed,
  gatherRows,
  gelu,
  kvStore,
  matmul,
  mul,
  rmsNorm,
  rope,
  type Shape,
  scale,
  silu,
  softCap,
  softmax,
  type Tensor,
} from "../../src/tensor/index.ts";
import type { Nodes } from "../../src/tensor/nodes.ts";
import { elementCount, type Rows } from "../../src/tensor/shape.ts";
import { gaussianArray, mulberry32, randomInteger } from "../reference/random.ts";
import type { ReferenceStep } from "../reference/tensor.ts";

/** Which rows a value has: the dynamic "rows", the dynamic "picked", or a fixed number. */
type RowKind = "rows" | "picked" | number;

/** A leaf: a constant (`cache` if it is stored to), an input, or words with a limit that its numbers stay below. */
export type Leaf = {
  readonly id: number;
  readonly kind: "constant" | "cache" | "input" | "words";
  readonly dtype: DType;
  readonly rows: RowKind;
  /** Row length; 0 for a tensor of one dimension. */
  readonly n: number;
  readonly values: Float32Array;
};

export type Recipe = {
  readonly leaves: readonly Leaf[];
  readonly steps: readonly ReferenceStep[];
  readonly outputs: readonly { readonly id: number; readonly kind: RowKind; readonly n: number }[];
};

export const MAX_ROWS = 5;
export const MAX_PICKED = 3;
const FIXED_ROWS = 3;
const WIDTHS = [8, 16, 64] as const;
const HEAD_DIM = 4;
const BLOCK_SIZE = 2;
const SLOTS = 12;
const SEQUENCES = 2;
const BLOCKS_PER_SEQUENCE = 3;
const EPS = 1e-5;

type Value = { readonly id: number; readonly kind: RowKind; readonly n: number };

/** A recipe of about `size` operations. */
export function randomRecipe(seed: number, size: number): Recipe {
  return new Chef(seed).cook(size);
}

class Chef {
  readonly #random: () => number;
  readonly #leaves: Leaf[] = [];
  readonly #steps: ReferenceStep[] = [];
  readonly #values: Value[] = [];
  readonly #words = new Map<string, number>();
  #nextId = 0;

  constructor(seed: number) {
    this.#random = mulberry32(seed);
  }

  cook(size: number): Recipe {
    for (const rows of ["rows", FIXED_ROWS] as const) {
      for (const n of WIDTHS) this.#value(this.#leaf("input", "f32", rows, n), rows, n);
    }
    const leafCount = this.#values.length;
    while (this.#steps.length < size) this.#step();
    const results = this.#values.slice(leafCount);
    const outputs = results.filter((_, i) => i === results.length - 1 || this.#random() < 0.15);
    return { leaves: this.#leaves, steps: this.#steps, outputs };
  }

  #step(): void {
    const x = this.#pick(this.#values);
    const twin = this.#pick(this.#values.filter(({ kind, n }) => kind === x.kind && n === x.n));
    const out = (kind: RowKind = x.kind, n: number = x.n): number => this.#value(this.#nextId++, kind, n);
    const choice = randomInteger(this.#random, 16);
    if (choice < 2) this.#steps.push({ op: "add", a: x.id, b: twin.id, out: out() });
    else if (choice < 3) this.#steps.push({ op: "mul", a: x.id, b: twin.id, out: out() });
    else if (choice < 4) this.#steps.push({ op: "silu", x: x.id, out: out() });
    else if (choice < 5) this.#gatedMul(x, twin);
    else if (choice < 6) this.#steps.push({ op: "softmax", x: x.id, scale: 0.7, out: out() });
    else if (choice < 7) this.#rmsNorm(x);
    else if (choice < 8) {
      this.#steps.push({ op: "add", a: x.id, b: twin.id, out: out() });
      this.#rmsNorm(this.#values[this.#values.length - 1]);
    } else if (choice < 10) this.#matmul(x);
    else if (choice < 11) this.#rope(x);
    else if (choice < 12) this.#gather(x);
    else if (choice < 13) this.#cached(x, twin);
    else if (choice < 14) this.#textbook(x);
    else if (choice < 15) this.#addBias(x);
    else this.#scale(x);
  }

  #gatedMul(x: Value, twin: Value): void {
    const gate = this.#value(this.#nextId++, x.kind, x.n);
    this.#steps.push({ op: this.#pick(["silu", "gelu"] as const), x: x.id, out: gate });
    const out = this.#value(this.#nextId++, x.kind, x.n);
    const swap = this.#random() < 0.5;
    this.#steps.push({ op: "mul", a: swap ? twin.id : gate, b: swap ? gate : twin.id, out });
  }

  #addBias(x: Value): void {
    const bias = this.#leaf("constant", "f32", x.n, 0);
    this.#steps.push({ op: "addBias", x: x.id, bias, out: this.#value(this.#nextId++, x.kind, x.n) });
  }

  #scale(x: Value): void {
    const out = this.#value(this.#nextId++, x.kind, x.n);
    if (this.#random() < 0.5) this.#steps.push({ op: "scale", x: x.id, factor: -0.7, out });
    else this.#steps.push({ op: "softCap", x: x.id, factor: 2, out });
  }

  /** Of whole rows, or sometimes of heads. */
  #rmsNorm(x: Value): void {
    const weight = this.#leaf("constant", "f32", this.#pick([x.n, x.n, HEAD_DIM]), 0);
    const out = this.#value(this.#nextId++, x.kind, x.n);
    this.#steps.push({ op: "rmsNorm", x: x.id, weight, eps: EPS, out });
  }

  #matmul(x: Value): void {
    const n = this.#pick(WIDTHS);
    const weight = this.#leaf("constant", this.#pick(["f32", "f16"] as const), n, x.n, 1 / Math.sqrt(x.n));
    this.#steps.push({ op: "matmul", x: x.id, weight, out: this.#value(this.#nextId++, x.kind, n) });
  }

  #rope(x: Value): void {
    const frequencies = this.#leaf("constant", "f32", this.#pick([1, 2]), 0);
    const layout = this.#pick(["interleaved", "half"] as const);
    const positions = this.#wordsFor(x.kind, "positions", BLOCK_SIZE * BLOCKS_PER_SEQUENCE);
    const out = this.#value(this.#nextId++, x.kind, x.n);
    this.#steps.push({ op: "rope", x: x.id, positions, frequencies, headDim: HEAD_DIM, layout, out });
  }

  #gather(x: Value): void {
    if (x.kind === "rows") {
      const indices = this.#wordsFor("picked", "indices", 1); // row 0 is there in every run that has rows
      this.#steps.push({
        op: "gatherRows",
        x: x.id,
        indices,
        out: this.#value(this.#nextId++, "picked", x.n),
      });
      return;
    }
    const table = this.#leaf("constant", this.#pick(["f32", "f16"] as const), 7, x.n);
    const indices = this.#wordsFor(x.kind, "tokens", 7);
    this.#steps.push({ op: "embed", x: table, indices, out: this.#value(this.#nextId++, x.kind, x.n) });
  }

  /** Stores to a cache, then attends to it; sometimes to a cache of an earlier step. */
  #cached(x: Value, twin: Value): void {
    const known = this.#leaves.filter(({ kind, n }) => kind === "cache" && n === x.n);
    const fresh = known.length < 2 || this.#random() < 0.5;
    const keyCache = fresh ? this.#leaf("cache", "f32", SLOTS, x.n) : known[0].id;
    const valueCache = fresh ? this.#leaf("cache", "f32", SLOTS, x.n) : known[1].id;
    const slots = this.#wordsFor(x.kind, "slots", SLOTS);
    this.#steps.push({ op: "kvStore", keys: x.id, values: twin.id, slots, keyCache, valueCache });
    if (this.#random() < 0.2) return;
    this.#steps.push({
      op: "attention",
      query: twin.id,
      keyCache,
      valueCache,
      positions: this.#wordsFor(x.kind, "positions", BLOCK_SIZE * BLOCKS_PER_SEQUENCE),
      sequences: this.#wordsFor(x.kind, "sequences", SEQUENCES),
      blockTables: this.#wordsFor(SEQUENCES, "blockTables", SLOTS / BLOCK_SIZE, BLOCKS_PER_SEQUENCE),
      blockSize: BLOCK_SIZE,
      headDim: HEAD_DIM,
      window: this.#pick([2, 1000]),
      softCap: this.#pick([0, 1.5]),
      out: this.#value(this.#nextId++, x.kind, x.n),
    });
  }

  #textbook(x: Value): void {
    const keys = this.#leaf("constant", "f16", 9, x.n / 2);
    const values = this.#leaf("constant", "f32", 9, x.n / 2);
    const firstPosition = this.#pick([undefined, 3]);
    const out = this.#value(this.#nextId++, x.kind, x.n);
    this.#steps.push({
      op: "textbookAttention",
      query: x.id,
      keys,
      values,
      headDim: HEAD_DIM,
      firstPosition,
      out,
    });
  }

  #value(id: number, kind: RowKind, n: number): number {
    this.#values.push({ id, kind, n });
    return id;
  }

  #leaf(kind: Leaf["kind"], dtype: DType, rows: RowKind, n: number, deviation = 1): number {
    const id = this.#nextId++;
    const exact = gaussianArray(this.#random, maximum(rows) * Math.max(1, n), deviation);
    const values = dtype === "f16" ? exact.map(Math.f16round) : exact;
    this.#leaves.push({ id, kind, dtype, rows, n, values });
    return id;
  }

  /** Words shared by all steps with the same need, as in a model. Slots are distinct. */
  #wordsFor(rows: RowKind, purpose: string, below: number, n = 0): number {
    const key = `${purpose} ${rows} ${n}`;
    const known = this.#words.get(key);
    if (known !== undefined) return known;
    const id = this.#nextId++;
    const count = maximum(rows) * Math.max(1, n);
    const start = randomInteger(this.#random, below);
    const values = Float32Array.from({ length: count }, (_, i) =>
      purpose === "slots" ? (start + 5 * i) % below : randomInteger(this.#random, below),
    );
    this.#leaves.push({ id, kind: "words", dtype: "u32", rows, n, values });
    this.#words.set(key, id);
    return id;
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[randomInteger(this.#random, choices.length)];
  }
}

function maximum(kind: RowKind): number {
  if (kind === "rows") return MAX_ROWS;
  return kind === "picked" ? MAX_PICKED : kind;
}

/** Names in a built recipe. */
export const leafName = (id: number): string => `leaf${id}`;
export const outputName = (id: number): string => `out${id}`;

/**
 * Builds a recipe with the functions of the tensor room.
 *
 * @param constant makes a constant of a leaf
 */
export function buildRecipe(
  nodes: Nodes,
  recipe: Recipe,
  constant: (leaf: Leaf, shape: Shape) => Tensor,
): Map<number, Tensor> {
  const dynamic: Record<string, Rows> = {
    rows: nodes.rows("rows", MAX_ROWS),
    picked: nodes.rows("picked", MAX_PICKED),
  };
  const tensors = new Map<number, Tensor>();
  const get = (id: number): Tensor => {
    const tensor = tensors.get(id);
    if (tensor === undefined) throw new Error(`value ${id} was not built`);
    return tensor;
  };
  for (const leaf of recipe.leaves) {
    const leading = typeof leaf.rows === "number" ? leaf.rows : dynamic[leaf.rows];
    const shape: Shape = leaf.n === 0 ? [leading] : [leading, leaf.n];
    const name = leafName(leaf.id);
    if (leaf.kind === "words") tensors.set(leaf.id, nodes.words(name, shape));
    else if (leaf.kind === "input") tensors.set(leaf.id, nodes.input(name, leaf.dtype, shape));
    else tensors.set(leaf.id, constant(leaf, shape));
  }
  for (const step of recipe.steps) {
    const result = buildStep(step, get);
    if (result !== undefined && "out" in step) tensors.set(step.out, result);
  }
  for (const { id } of recipe.outputs) nodes.output(get(id), outputName(id));
  return tensors;
}

function buildStep(step: ReferenceStep, get: (id: number) => Tensor): Tensor | undefined {
  switch (step.op) {
    case "add":
      return add(get(step.a), get(step.b));
    case "mul":
      return mul(get(step.a), get(step.b));
    case "silu":
      return silu(get(step.x));
    case "gelu":
      return gelu(get(step.x));
    case "scale":
      return scale(get(step.x), step.factor);
    case "softCap":
      return softCap(get(step.x), step.factor);
    case "addBias":
      return addBias(get(step.x), get(step.bias));
    case "argmax":
      return argmax(get(step.x));
    case "round16":
      return convert(convert(get(step.x), "f16"), "f32");
    case "softmax":
      return softmax(get(step.x), { scale: step.scale });
    case "rmsNorm":
      return rmsNorm(get(step.x), get(step.weight), { eps: step.eps });
    case "matmul":
      return matmul(get(step.x), get(step.weight));
    case "embed":
      return embed(get(step.x), get(step.indices));
    case "gatherRows":
      return gatherRows(get(step.x), get(step.indices));
    case "rope":
      return rope(get(step.x), get(step.positions), get(step.frequencies), step);
    case "kvStore":
      kvStore(get(step.keys), get(step.values), get(step.slots), get(step.keyCache), get(step.valueCache));
      return undefined;
    case "attention": {
      const cache = {
        keys: get(step.keyCache),
        values: get(step.valueCache),
        blockTables: get(step.blockTables),
        blockSize: step.blockSize,
      };
      return attention(get(step.query), cache, get(step.positions), get(step.sequences), step);
    }
    case "textbookAttention": {
      const { headDim, firstPosition } = step;
      const options = firstPosition === undefined ? { headDim } : { headDim, firstPosition };
      const scores = attentionScores(get(step.query), get(step.keys), options);
      return attentionWeightedSum(softmax(scores), get(step.values), { headDim });
    }
  }
}

/** Builds a recipe without a device: constants get memory of their own that holds nothing. */
export function buildPure(nodes: Nodes, recipe: Recipe): Map<number, Tensor> {
  return buildRecipe(nodes, recipe, (leaf, shape) =>
    nodes.constant({ byteLength: 4 * elementCount(shape) }, leaf.dtype, shape),
  );
}
