/**
 * Rotary position embedding (Su et al. 2021, eq. 34): each pair of dimensions is turned by position * frequency.
 */

import { type Dispatch, Operation } from "../operation.ts";
import { maximum, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { ELEMENTWISE_THREADS, elementwiseGrid, packArguments } from "./launch.ts";

/**
 * Which dimensions of a head make a pair: neighbours (2i, 2i + 1), as in Llama's own weights and its GGUF files, or
 * (i, i + rotaryDims / 2), as in GPT-NeoX and Qwen.
 */
export type RopeLayout = "interleaved" | "half";

export interface RopeOptions {
  /** Elements of a head, even. */
  readonly headDim: number;
  /** Which dimensions make a pair. */
  readonly layout: RopeLayout;
  /** Factor of the length of what is turned, as YaRN has it. Default: 1. */
  readonly magnitude?: number;
}

/** Turns the first `2 * frequencies` dimensions of each head; the rest is copied. */
export class Rope extends Operation {
  readonly name = "rope";
  readonly x: Tensor; // f32 [rows, heads * headDim]
  readonly out: Tensor;
  readonly headDim: number;
  readonly rotaryDims: number;
  readonly layout: RopeLayout;
  readonly magnitude: number;

  constructor(x: Tensor, positions: Tensor, frequencies: Tensor, out: Tensor, options: RopeOptions) {
    super([x, positions, frequencies], [out]);
    this.x = x;
    this.out = out;
    this.headDim = options.headDim;
    this.rotaryDims = 2 * maximum(frequencies.shape[0]);
    this.layout = options.layout;
    this.magnitude = options.magnitude ?? 1;
  }

  override get inPlaceInputs(): readonly Tensor[] {
    return [this.x];
  }

  override encode(): Dispatch {
    const heads = rowLength(this.x.shape) / this.headDim;
    return {
      kernel: `rope_${this.layout}_f32`,
      bindings: [...this.inputs, this.out],
      args: packArguments(heads, this.headDim, this.rotaryDims, { f32: this.magnitude }),
      grid: elementwiseGrid(this.x.shape, 2),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/**
 * Rotary position embedding of all heads of `x`: pair i of a head is turned by `positions[r] * frequencies[i]` radians.
 *
 * @param x f32 [rows, heads * headDim]
 * @param positions u32 [rows]
 * @param frequencies f32 [rotaryDims / 2], see `ropeFrequencies`; dimensions from rotaryDims on are left as they are
 * @returns f32, the shape of `x`
 */
export function rope(x: Tensor, positions: Tensor, frequencies: Tensor, options: RopeOptions): Tensor {
  const { headDim, layout, magnitude = 1 } = options;
  const operands = new Operands("rope", { x, positions, frequencies });
  operands.requireType("x", "f32");
  operands.requireType("positions", "u32");
  operands.requireType("frequencies", "f32");
  operands.requireRank("x", 2);
  operands.requireRank("positions", 1);
  operands.requireRank("frequencies", 1);
  operands.requireSameRows("x", "positions");
  operands.requireCount("headDim", headDim);
  operands.quotient(operands.fixed("x", 1), headDim, "row length of x in heads of headDim");
  operands.quotient(headDim, 2, "headDim in pairs");
  const rotaryDims = 2 * operands.fixed("frequencies", 0);
  if (rotaryDims > headDim) {
    throw operands.range(
      `${rotaryDims / 2} frequencies turn ${rotaryDims} dimensions, but headDim is ${headDim}`,
    );
  }
  if (layout !== "interleaved" && layout !== "half") throw operands.type(`unknown layout "${layout}"`);
  operands.requireFinite("magnitude", magnitude);
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Rope(x, positions, frequencies, out, options));
  return out;
}

/**
 * theta^(-2i / rotaryDims) for pair i, computed in float64.
 *
 * @param theta base of the frequencies, 10000 in the paper
 * @param rotaryDims dimensions of a head that are turned, even
 * @returns rotaryDims / 2 radians per position, rounded to f32
 */
export function ropeFrequencies(theta: number, rotaryDims: number): Float32Array {
  if (!Number.isFinite(theta) || theta <= 0)
    throw new RangeError(`Rope theta must be above 0, not "${theta}"`);
  if (!Number.isSafeInteger(rotaryDims) || rotaryDims < 2 || rotaryDims % 2 !== 0) {
    throw new RangeError(`Rope turns an even number of dimensions from 2, not "${rotaryDims}"`);
  }
  return Float32Array.from({ length: rotaryDims / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDims));
}
