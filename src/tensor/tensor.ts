/**
 * A node of the graph: what a value is and where it comes from, never its bytes. Bytes exist in a `Plan`.
 */

import type { DType } from "./dtype.ts";
import { formatShape, type Shape, shapeBytes } from "./shape.ts";

/** What a constant lives in. The runtime's `Buffer` is one; the planner needs no more than its length. */
export interface Memory {
  readonly byteLength: number;
}

/** Where the bytes of a tensor come from. */
export type Source =
  /** Memory of the caller's, from `byteOffset`: weights, caches. */
  | { readonly kind: "constant"; readonly memory: Memory; readonly byteOffset: number }
  /** A shared buffer of the plan's that the caller fills before a run. */
  | { readonly kind: "input"; readonly name: string }
  /** Part of the run's dynamic words, from word `word`. */
  | { readonly kind: "words"; readonly name: string; readonly word: number }
  /** Written by an operation of the graph. */
  | { readonly kind: "result" };

/** Something that reads and writes tensors; `Operation` adds how it does so. */
export interface Work {
  /** As in the API: `rmsNorm`. */
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Constants that it writes into. Work with any has an effect beyond its outputs and is never left out. */
  readonly writes: readonly Tensor[];
}

/** What operations need of the graph that they add themselves to. */
export interface TensorOwner {
  /** A new tensor that an operation will write. `below`: see `Tensor.below`. */
  result(dtype: DType, shape: Shape, below?: number): Tensor;
  /** Adds an operation behind all others. */
  append(operation: Work): void;
}

/** An immutable node. Made by `Graph` and by operations; holds nothing that needs disposing. */
export class Tensor {
  readonly owner: TensorOwner;
  /** Number within its graph, from 0 in order of creation. */
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly source: Source;
  /** Every element of this u32 tensor is below this, by construction (argmax); undefined where nothing is known. */
  readonly below: number | undefined;
  /** At the maximum of a dynamic leading dimension. */
  readonly byteLength: number;

  constructor(owner: TensorOwner, id: number, dtype: DType, shape: Shape, source: Source, below?: number) {
    this.owner = owner;
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    this.source = source;
    this.below = below;
    this.byteLength = shapeBytes(dtype, shape);
  }

  /** `f32 [rows<=256, 64]`. */
  toString(): string {
    return `${this.dtype} ${formatShape(this.shape)}`;
  }
}
