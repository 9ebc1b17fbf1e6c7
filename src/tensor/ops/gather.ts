/**
 * Rows by index and indices by value: embedding lookup, gathering rows, argmax.
 */

import { weightDTypes } from "../dtype.ts";
import type { WordLimit } from "../limits.ts";
import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import {
  ELEMENTWISE_THREADS,
  elementsPerThread,
  elementwiseGrid,
  groupPerRow,
  ONE_GROUP,
  packArguments,
  reductionThreads,
} from "./launch.ts";

/** out[r] = table[tokens[r]] */
export class Embed extends Operation {
  readonly name = "embed";
  readonly table: Tensor; // [vocab, n]
  readonly tokens: Tensor; // u32 [rows]
  readonly out: Tensor; // f32 [rows, n]

  constructor(table: Tensor, tokens: Tensor, out: Tensor) {
    super([table, tokens], [out]);
    this.table = table;
    this.tokens = tokens;
    this.out = out;
  }

  override encode(): Dispatch {
    const [vocab, n] = this.table.shape.map(maximum);
    return {
      kernel: `embed_${this.table.dtype}`,
      bindings: [this.table, this.tokens, this.out],
      args: packArguments(n, vocab),
      grid: elementwiseGrid(this.out.shape, elementsPerThread(this.table.dtype)),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/** out[r] = x[indices[r]] */
export class GatherRows extends Operation {
  readonly name = "gatherRows";
  readonly x: Tensor; // f32 [rows, n]
  readonly indices: Tensor; // u32 [outRows]
  readonly out: Tensor; // f32 [outRows, n]

  constructor(x: Tensor, indices: Tensor, out: Tensor) {
    super([x, indices], [out]);
    this.x = x;
    this.indices = indices;
    this.out = out;
  }

  override get limits(): readonly WordLimit[] {
    const [limit] = this.x.shape;
    return [{ kind: "below", operation: this.name, indices: this.indices, of: "rows of x", limit }];
  }

  override encode(): Dispatch {
    return {
      kernel: "gather_rows_f32",
      bindings: [this.x, this.indices, this.out],
      args: packArguments(rowLength(this.x.shape)),
      grid: elementwiseGrid(this.out.shape),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/** out[r] = index of the largest x[r, i]; the lowest index among equals; NaN never wins */
export class Argmax extends Operation {
  readonly name = "argmax";
  readonly x: Tensor; // f32 [rows, n]
  readonly out: Tensor; // u32 [rows]

  constructor(x: Tensor, out: Tensor) {
    super([x], [out]);
    this.x = x;
    this.out = out;
  }

  override encode(target: KernelTarget): Dispatch {
    const n = rowLength(this.x.shape);
    return {
      kernel: "argmax_f32",
      bindings: [this.x, this.out],
      args: packArguments(n),
      grid: [ONE_GROUP, groupPerRow(this.x.shape)],
      threads: reductionThreads(n, target),
    };
  }
}

/**
 * Rows of an embedding table, as f32. A token at or above `vocab` gives zeros.
 *
 * @param table of any type of weights [vocab, n]
 * @param tokens u32 [rows]
 * @returns f32 [rows, n]
 */
export function embed(table: Tensor, tokens: Tensor): Tensor {
  const operands = new Operands("embed", { table, tokens });
  operands.requireType("table", ...weightDTypes);
  operands.requireType("tokens", "u32");
  operands.requireRank("table", 2);
  operands.requireRank("tokens", 1);
  operands.fixed("table", 0);
  const out = operands.owner.result("f32", [operands.leading("tokens"), operands.fixed("table", 1)]);
  operands.owner.append(new Embed(table, tokens, out));
  return out;
}

/**
 * Rows of `x` picked by index, in the order of the indices. An index beyond the rows of `x` is an error of the run.
 *
 * @param x f32 [rows, n]
 * @param indices u32 [outRows]: words, an input, or an `argmax` over at most as many elements as `x` has rows
 * @returns f32 [outRows, n]
 */
export function gatherRows(x: Tensor, indices: Tensor): Tensor {
  const operands = new Operands("gatherRows", { x, indices });
  operands.requireType("x", "f32");
  operands.requireType("indices", "u32");
  operands.requireRank("x", 2);
  operands.requireRank("indices", 1);
  operands.requireIndices("indices", operands.leading("x"), "rows of x");
  const out = operands.owner.result("f32", [operands.leading("indices"), operands.fixed("x", 1)]);
  operands.owner.append(new GatherRows(x, indices, out));
  return out;
}

/**
 * Index of the largest element of each row; the lowest among equals. NaN never wins.
 *
 * @param x f32 [rows, n]
 * @returns u32 [rows], each below n
 */
export function argmax(x: Tensor): Tensor {
  const operands = new Operands("argmax", { x });
  operands.requireType("x", "f32");
  operands.requireRank("x", 2);
  const out = operands.owner.result("u32", [operands.leading("x")], operands.fixed("x", 1));
  operands.owner.append(new Argmax(x, out));
  return out;
}
