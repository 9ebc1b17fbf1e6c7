/**
 * Operations on elements of equal position: add, mul, silu and gelu, each fused with the mul behind it, a bias for every
 * row, and conversion between types.
 */

import { weightDTypes } from "../dtype.ts";
import { type Dispatch, Operation } from "../operation.ts";
import { rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { ELEMENTWISE_THREADS, elementsPerThread, elementwiseGrid, packArguments } from "./launch.ts";

/** out = kernel(inputs), all of one shape. An element is read before it is written, so any input can become the output. */
abstract class Elementwise extends Operation {
  abstract readonly kernel: string;
  readonly out: Tensor;

  constructor(inputs: readonly Tensor[], out: Tensor) {
    super(inputs, [out]);
    this.out = out;
  }

  override get inPlaceInputs(): readonly Tensor[] {
    return this.inputs;
  }

  override encode(): Dispatch {
    return {
      kernel: this.kernel,
      bindings: [...this.inputs, this.out],
      args: packArguments(rowLength(this.out.shape)),
      grid: elementwiseGrid(this.out.shape, elementsPerThread(this.inputs[0].dtype)),
      threads: ELEMENTWISE_THREADS,
    };
  }
}

/** out = a + b */
export class Add extends Elementwise {
  readonly name = "add";
  readonly kernel = "add_f32";
}

/** out = a * b, by element */
export class Mul extends Elementwise {
  readonly name = "mul";
  readonly kernel = "mul_f32";
}

/** out = x / (1 + exp(-x)) */
export class Silu extends Elementwise {
  readonly name = "silu";
  readonly kernel = "silu_f32";
}

/** out = silu(gate) * up: what fusion makes of `Silu` and `Mul`. */
export class SiluMul extends Elementwise {
  readonly name = "siluMul";
  readonly kernel = "silu_mul_f32";
}

/** out = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
export class Gelu extends Elementwise {
  readonly name = "gelu";
  readonly kernel = "gelu_f32";
}

/** out = gelu(gate) * up: what fusion makes of `Gelu` and `Mul`. */
export class GeluMul extends Elementwise {
  readonly name = "geluMul";
  readonly kernel = "gelu_mul_f32";
}

/** out[r] = x[r] + bias */
export class AddBias extends Elementwise {
  readonly name = "addBias";
  readonly kernel = "add_bias_f32";

  override get inPlaceInputs(): readonly Tensor[] {
    return this.inputs.slice(0, 1);
  }
}

/** out = x in another type */
export class Convert extends Elementwise {
  readonly name = "convert";

  /** Elements of another size would overwrite those that are still to be read. */
  override get inPlaceInputs(): readonly Tensor[] {
    return [];
  }

  get kernel(): string {
    return `convert_${this.inputs[0].dtype}_${this.out.dtype}`;
  }
}

function requireFloats(operands: Operands, a: string, b: string): void {
  operands.requireType(a, "f32");
  operands.requireType(b, "f32");
  operands.requireSameShape(a, b);
}

/**
 * Sum of two tensors of the same shape. Fuses with an `rmsNorm` of the sum.
 *
 * @param a f32, any shape
 * @param b f32, the shape of `a`
 * @returns f32, the shape of `a`
 */
export function add(a: Tensor, b: Tensor): Tensor {
  const operands = new Operands("add", { a, b });
  requireFloats(operands, "a", "b");
  const out = operands.owner.result("f32", a.shape);
  operands.owner.append(new Add([a, b], out));
  return out;
}

/**
 * Product by element of two tensors of the same shape. Fuses with a `silu` or `gelu` that makes one of the factors.
 *
 * @param a f32, any shape
 * @param b f32, the shape of `a`
 * @returns f32, the shape of `a`
 */
export function mul(a: Tensor, b: Tensor): Tensor {
  const operands = new Operands("mul", { a, b });
  requireFloats(operands, "a", "b");
  const out = operands.owner.result("f32", a.shape);
  operands.owner.append(new Mul([a, b], out));
  return out;
}

/**
 * x / (1 + exp(-x)), also called swish.
 *
 * @param x f32, any shape
 * @returns f32, the shape of `x`
 */
export function silu(x: Tensor): Tensor {
  const operands = new Operands("silu", { x });
  operands.requireType("x", "f32");
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Silu([x], out));
  return out;
}

/**
 * The Gaussian error linear unit in its tanh approximation, x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
 *
 * @param x f32, any shape
 * @returns f32, the shape of `x`
 */
export function gelu(x: Tensor): Tensor {
  const operands = new Operands("gelu", { x });
  operands.requireType("x", "f32");
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new Gelu([x], out));
  return out;
}

/**
 * Adds one bias to every row.
 *
 * @param x f32 [..., n]
 * @param bias f32 [n]
 * @returns f32, the shape of `x`
 */
export function addBias(x: Tensor, bias: Tensor): Tensor {
  const operands = new Operands("addBias", { x, bias });
  operands.requireType("x", "f32");
  operands.requireType("bias", "f32");
  operands.requireRank("bias", 1);
  operands.requireDimension("bias", 0, rowLength(x.shape), "the row length of x");
  const out = operands.owner.result("f32", x.shape);
  operands.owner.append(new AddBias([x, bias], out));
  return out;
}

/**
 * The same numbers in another type; a copy where the type is the same. Rounds to the nearest f16.
 *
 * @param x of any type of weights, any shape
 * @param dtype f32 or f16
 * @returns `dtype`, the shape of `x`
 */
export function convert(x: Tensor, dtype: "f32" | "f16"): Tensor {
  const operands = new Operands("convert", { x });
  operands.requireType("x", ...weightDTypes);
  if (dtype !== "f32" && dtype !== "f16")
    throw operands.type(`cannot convert to "${dtype}", only to f32 or f16`);
  const out = operands.owner.result(dtype, x.shape);
  operands.owner.append(new Convert([x], out));
  return out;
}
