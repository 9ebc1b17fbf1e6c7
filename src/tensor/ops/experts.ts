/**
 * A mixture of experts (Shazeer et al. 2017): choosing experts for each row, products with the matrices of those that were
 * chosen, and the sum of what they give. Which they are is known on the device alone.
 */

import { weightDTypes } from "../dtype.ts";
import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { ELEMENTWISE_THREADS, elementwiseGrid, groupPerRow, ONE_GROUP, packArguments } from "./launch.ts";
import { matvecLaunch } from "./matmul.ts";

/** Threads of a routing threadgroup: one SIMD group. */
const SIMD_THREADS = 32;

/** ids[r] = the best experts by scores[r]; weights[r] = the softmax of their scores */
export class RouteExperts extends Operation {
  readonly name = "routeExperts";
  readonly scores: Tensor; // f32 [rows, experts]
  readonly ids: Tensor; // u32 [rows, used]
  readonly weights: Tensor; // f32 [rows, used]

  constructor(scores: Tensor, ids: Tensor, weights: Tensor) {
    super([scores], [ids, weights]);
    this.scores = scores;
    this.ids = ids;
    this.weights = weights;
  }

  override encode(target: KernelTarget): Dispatch {
    return {
      kernel: "route_experts_f32",
      bindings: [this.scores, this.ids, this.weights],
      args: packArguments(rowLength(this.scores.shape), rowLength(this.ids.shape)),
      grid: [ONE_GROUP, groupPerRow(this.scores.shape)],
      threads: target.serialLanes ? 1 : SIMD_THREADS,
    };
  }
}

/** out[r, j] = weight[ids[r, j]] x[r], or x[r, j] */
export class MatmulExperts extends Operation {
  readonly name = "matmulExperts";
  readonly x: Tensor; // f32 [rows, k] or [rows, used, k]
  readonly weight: Tensor; // [experts, n, k]
  readonly ids: Tensor; // u32 [rows, used]
  readonly out: Tensor; // f32 [rows, used, n]

  constructor(x: Tensor, weight: Tensor, ids: Tensor, out: Tensor) {
    super([x, weight, ids], [out]);
    this.x = x;
    this.weight = weight;
    this.ids = ids;
    this.out = out;
  }

  override encode(target: KernelTarget): Dispatch {
    const [experts, n, k] = this.weight.shape.map(maximum);
    const share = this.x.shape.length === 2 ? rowLength(this.ids.shape) : 1;
    const { outputs, threads } = matvecLaunch(n, target);
    return {
      kernel: `matvec_experts_${this.weight.dtype}`,
      bindings: [this.weight, this.x, this.ids, this.out],
      args: packArguments(n, k, experts, share),
      grid: [outputs, groupPerRow(this.out.shape)],
      threads,
    };
  }
}

/** out[r] = sum over j of weights[r, j] * x[r, j] */
export class MixExperts extends Operation {
  readonly name = "mixExperts";
  readonly x: Tensor; // f32 [rows, used, n]
  readonly weights: Tensor; // f32 [rows, used]
  readonly out: Tensor; // f32 [rows, n]

  constructor(x: Tensor, weights: Tensor, out: Tensor) {
    super([x, weights], [out]);
    this.x = x;
    this.weights = weights;
    this.out = out;
  }

  override encode(): Dispatch {
    return {
      kernel: "mix_experts_f32",
      bindings: [this.x, this.weights, this.out],
      args: packArguments(rowLength(this.x.shape), rowLength(this.weights.shape)),
      grid: elementwiseGrid(this.out.shape),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/** Which experts rows go to, and with what weights. */
export interface Routes {
  /** u32 [rows, used]: the best experts of each row, the best one first. */
  readonly ids: Tensor;
  /** f32 [rows, used]: each row sums to 1. */
  readonly weights: Tensor;
}

/**
 * Chooses the experts with the highest scores for each row. Their weights are the softmax of these scores alone, which is
 * what the softmax of all scores gives, divided by the sum of what was chosen.
 *
 * @param scores f32 [rows, experts]
 * @param used how many each row goes to
 */
export function routeExperts(scores: Tensor, used: number): Routes {
  const operands = new Operands("routeExperts", { scores });
  operands.requireType("scores", "f32");
  operands.requireRank("scores", 2);
  const experts = operands.fixed("scores", 1);
  operands.requireCount("used", used, experts);
  const rows = operands.leading("scores");
  const ids = operands.owner.result("u32", [rows, used], experts);
  const weights = operands.owner.result("f32", [rows, used]);
  operands.owner.append(new RouteExperts(scores, ids, weights));
  return { ids, weights };
}

/**
 * x times the transpose of the matrix of each expert that a row goes to. Every product reads its weights for itself, also
 * where rows share an expert.
 *
 * @param x f32 [rows, k], the same for all experts of a row, or [rows, used, k]
 * @param weight of any type of weights [experts, n, k]
 * @param ids u32 [rows, used], of `routeExperts`
 * @returns f32 [rows, used, n]
 */
export function matmulExperts(x: Tensor, weight: Tensor, ids: Tensor): Tensor {
  const operands = new Operands("matmulExperts", { x, weight, ids });
  operands.requireType("x", "f32");
  operands.requireType("weight", ...weightDTypes);
  operands.requireType("ids", "u32");
  operands.requireRank("x", 2, 3);
  operands.requireRank("weight", 3);
  operands.requireRank("ids", 2);
  operands.requireSameRows("x", "ids");
  const used = operands.fixed("ids", 1);
  if (x.shape.length === 3) operands.requireDimension("x", 1, used, "the number of experts of a row");
  operands.requireDimension("weight", 2, rowLength(x.shape), "the row length of x");
  if (ids.below === undefined || ids.below > operands.fixed("weight", 0)) {
    throw operands.type("ids must be those of routeExperts, over as many experts as weight has");
  }
  const out = operands.owner.result("f32", [operands.leading("x"), used, operands.fixed("weight", 1)]);
  operands.owner.append(new MatmulExperts(x, weight, ids, out));
  return out;
}

/**
 * The weighted sum of what the experts of each row gave.
 *
 * @param x f32 [rows, used, n]
 * @param weights f32 [rows, used], of `routeExperts`
 * @returns f32 [rows, n]
 */
export function mixExperts(x: Tensor, weights: Tensor): Tensor {
  const operands = new Operands("mixExperts", { x, weights });
  operands.requireType("x", "f32");
  operands.requireType("weights", "f32");
  operands.requireRank("x", 3);
  operands.requireRank("weights", 2);
  operands.requireSameRows("x", "weights");
  operands.requireDimension("weights", 1, operands.fixed("x", 1), "the number of experts of a row");
  const out = operands.owner.result("f32", [operands.leading("x"), operands.fixed("x", 2)]);
  operands.owner.append(new MixExperts(x, weights, out));
  return out;
}
