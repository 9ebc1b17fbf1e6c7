/**
 * A product of one row with a weight matrix, together with the norm before it and what follows: what fusion makes of
 * `matmul` and its neighbours in the work of one token, where a kernel is short and the wait between two of them is not.
 */

import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { groupPerRow, packArguments } from "./launch.ts";
import { matvecLaunch } from "./matmul.ts";

/** What happens to the products: nothing, a residual is added, or they are the gates of a second matrix's. */
export type Ending =
  | { readonly kind: "none" }
  | { readonly kind: "add"; readonly residual: Tensor } // f32 [1, n]
  | { readonly kind: "silu" | "gelu"; readonly second: Tensor }; // [n, k], of the first one's type

/** RMSNorm of x before the product. */
export type InputNorm = { readonly weight: Tensor; readonly eps: number };

/** As in shaders/args.h. */
const ENDINGS = { none: 0, add: 1, silu: 2, gelu: 3 } as const;

/** out = weight h, ended as `ending` says, where h is x or its norm */
export class MatvecFused extends Operation {
  readonly name = "matvecFused";
  readonly x: Tensor; // f32 [1, k]
  readonly weight: Tensor; // [n, k]
  readonly norm: InputNorm | undefined;
  readonly ending: Ending;
  readonly out: Tensor; // f32 [1, n]

  constructor(x: Tensor, weight: Tensor, norm: InputNorm | undefined, ending: Ending, out: Tensor) {
    const others = [norm?.weight, operandOf(ending)].filter((tensor) => tensor !== undefined);
    super([x, weight, ...others], [out]);
    this.x = x;
    this.weight = weight;
    this.norm = norm;
    this.ending = ending;
    this.out = out;
  }

  /** A thread reads the residual's element that it writes; but all of x is read while others write. */
  override get inPlaceInputs(): readonly Tensor[] {
    const { ending, x } = this;
    return ending.kind === "add" && ending.residual !== x ? [ending.residual] : [];
  }

  override encode(target: KernelTarget): Dispatch {
    const { x, weight, norm, ending, out } = this;
    const [n, k] = weight.shape.map(maximum);
    const second = ending.kind === "silu" || ending.kind === "gelu" ? ending.second : weight;
    const residual = ending.kind === "add" ? ending.residual : x;
    const { outputs, threads } = matvecLaunch(n, target);
    return {
      kernel: `matvec_fused_${weight.dtype}`,
      bindings: [weight, second, x, norm?.weight ?? x, residual, out],
      args: packArguments(n, k, norm === undefined ? 0 : 1, { f32: norm?.eps ?? 0 }, ENDINGS[ending.kind]),
      grid: [outputs, groupPerRow(x.shape)],
      threads,
    };
  }
}

function operandOf(ending: Ending): Tensor | undefined {
  if (ending.kind === "add") return ending.residual;
  return ending.kind === "none" ? undefined : ending.second;
}
