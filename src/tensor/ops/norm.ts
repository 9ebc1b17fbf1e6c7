/**
 * Normalisation over the last dimension: RMSNorm (Zhang and Sennrich 2019), alone and fused with the residual add
 * before it, and softmax.
 */

import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { rowExtent, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { groupPerRow, ONE_GROUP, packArguments, reductionThreads } from "./launch.ts";

/** out = x / sqrt(mean(x^2) + eps) * weight, per row, or per part of a row where the weight is shorter */
export class RmsNorm extends Operation {
  readonly name = "rmsNorm";
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly out: Tensor;
  readonly eps: number;
  /** Parts of a row that are normalised one by one: heads. */
  readonly parts: number;

  constructor(x: Tensor, weight: Tensor, out: Tensor, eps: number) {
    super([x, weight], [out]);
    this.x = x;
    this.weight = weight;
    this.out = out;
    this.eps = eps;
    this.parts = rowLength(x.shape) / rowLength(weight.shape);
  }

  override encode(target: KernelTarget): Dispatch {
    const n = rowLength(this.weight.shape);
    const extent = rowExtent([...this.x.shape.slice(0, -1), this.parts, n]);
    return {
      kernel: "rmsnorm_f32",
      bindings: [this.x, this.weight, this.out],
      args: packArguments(n, { f32: this.eps }),
      grid: [ONE_GROUP, { extent, itemsPerGroup: 1 }],
      threads: reductionThreads(n, target),
    };
  }
}

/** sum = a + b; out = rmsNorm(sum, weight): what fusion makes of `Add` and `RmsNorm`. The sum stays usable. */
export class AddRmsNorm extends Operation {
  readonly name = "addRmsNorm";
  readonly eps: number;

  constructor(a: Tensor, b: Tensor, weight: Tensor, sum: Tensor, out: Tensor, eps: number) {
    super([a, b, weight], [sum, out]);
    this.eps = eps;
  }

  override encode(target: KernelTarget): Dispatch {
    const { shape } = this.outputs[0];
    const n = rowLength(shape);
    return {
      kernel: "add_rmsnorm_f32",
      bindings: [...this.inputs, ...this.outputs],
      args: packArguments(n, { f32: this.eps }),
      grid: [ONE_GROUP, groupPerRow(shape)],
      threads: reductionThreads(n, target),
    };
  }
}

/** out = softmax(scale * x), per row */
export class Softmax extends Operation {
  readonly name = "softmax";
  readonly x: Tensor;
  readonly out: Tensor;
  readonly scale: number;

  constructor(x: Tensor, out: Tensor, scale: number) {
    super([x], [out]);
    this.x = x;
    this.out = out;
    this.scale = scale;
  }

  override encode(target: KernelTarget): Dispatch {
    const n = rowLength(this.x.shape);
    return {
      kernel: "softmax_f32",
      bindings: [this.x, this.out],
      args: packArguments(n, { f32: this.scale }),
      grid: [ONE_GROUP, groupPerRow(this.x.shape)],
      threads: reductionThreads(n, target),
    };
  }
}

/**
 * x / sqrt(mean(x^2) + eps) * weight over the last dimension, or over each part of it that is as long as the weight: the
 * heads of queries and keys. An `add` that makes `x` is fused into it where the weight is as long as a row.
 *
 * @param x f32 [..., n]
 * @param weight f32 [m], where n is a multiple of m
 * @param options `eps`: added to the mean square, 0 or more
 * @returns f32, the shape of `x`
 */
export function rmsNorm(x: Tensor, weight: Tensor, options: { readonly eps: number }): Tensor {
  const operands = new Operands("rmsNorm", { x, weight });
  operands.requireType("x", "f32");
  operands.requireType("weight", "f32");
  operands.requireRank("weight", 1);
  operands.quotient(
    rowLength(x.shape),
    operands.fixed("weight", 0),
    "row length of x in parts of the weight's",
  );
  operands.requireFinite("eps", options.eps);
  if (options.eps < 0) throw operands.range(`eps must not be negative, but is "${options.eps}"`);
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new RmsNorm(x, weight, out, options.eps));
  return out;
}

/**
 * exp(scale * x - max) / sum over the last dimension, stable for large values.
 *
 * @param x f32 [..., n]
 * @param options `scale`: factor before the exponential, by default 1
 * @returns f32, the shape of `x`; each row sums to 1
 */
export function softmax(x: Tensor, options: { readonly scale?: number } = {}): Tensor {
  const { scale = 1 } = options;
  const operands = new Operands("softmax", { x });
  operands.requireType("x", "f32");
  operands.requireFinite("scale", scale);
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Softmax(x, out, scale));
  return out;
}
