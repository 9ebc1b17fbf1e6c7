/**
 * Operations on each element with one number for all: scale and the soft cap of Gemma 2.
 */

import { type Dispatch, Operation } from "../operation.ts";
import { rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { ELEMENTWISE_THREADS, elementwiseGrid, packArguments } from "./launch.ts";

/** out = factor * x, or factor * tanh(x / factor) */
export class Scale extends Operation {
  readonly name: "scale" | "softCap";
  readonly x: Tensor;
  readonly out: Tensor;
  readonly factor: number;

  constructor(name: "scale" | "softCap", x: Tensor, out: Tensor, factor: number) {
    super([x], [out]);
    this.name = name;
    this.x = x;
    this.out = out;
    this.factor = factor;
  }

  override get inPlaceInputs(): readonly Tensor[] {
    return this.inputs;
  }

  override encode(): Dispatch {
    return {
      kernel: this.name === "scale" ? "scale_f32" : "softcap_f32",
      bindings: [this.x, this.out],
      args: packArguments(rowLength(this.x.shape), { f32: this.factor }),
      grid: elementwiseGrid(this.x.shape),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/**
 * x times a number.
 *
 * @param x f32, any shape
 * @param factor any finite number
 * @returns f32, the shape of `x`
 */
export function scale(x: Tensor, factor: number): Tensor {
  const operands = new Operands("scale", { x });
  operands.requireType("x", "f32");
  operands.requireFinite("factor", factor);
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Scale("scale", x, out, factor));
  return out;
}

/**
 * cap * tanh(x / cap): numbers that are small beside the cap stay, and none gets beyond it (Gemma 2, 2024).
 *
 * @param x f32, any shape
 * @param cap above 0
 * @returns f32, the shape of `x`
 */
export function softCap(x: Tensor, cap: number): Tensor {
  const operands = new Operands("softCap", { x });
  operands.requireType("x", "f32");
  operands.requireFinite("cap", cap);
  if (cap <= 0) throw operands.range(`cap must be above 0, but is "${cap}"`);
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Scale("softCap", x, out, cap));
  return out;
}
