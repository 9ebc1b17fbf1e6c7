/**
 * Checks that operations make of their operands, and the sentences of the errors. Each names the operation and all of
 * its operands, since the wrong one is often not the one that the check trips over.
 */

import type { DType } from "../dtype.ts";
import { type Dimension, maximum, type Rows, type Shape, sameShape } from "../shape.ts";
import type { Tensor, TensorOwner } from "../tensor.ts";

/** The operands of one operation under construction. */
export class Operands {
  readonly #operation: string;
  readonly #tensors: Readonly<Record<string, Tensor>>;
  /** The graph that all operands belong to. */
  readonly owner: TensorOwner;

  /** @throws {TypeError} if the operands belong to different graphs */
  constructor(operation: string, tensors: Readonly<Record<string, Tensor>>) {
    this.#operation = operation;
    this.#tensors = tensors;
    const [first, ...others] = Object.values(tensors);
    for (const { owner } of others)
      if (owner !== first.owner) throw this.type("the operands belong to different graphs");
    this.owner = first.owner;
  }

  /** `matmul(x: f32 [2, 3], weight: f16 [4, 5])`. */
  #call(): string {
    const operands = Object.entries(this.#tensors).map(([name, tensor]) => `${name}: ${tensor}`);
    return `${this.#operation}(${operands.join(", ")})`;
  }

  /** An error about a type. */
  type(problem: string): TypeError {
    return new TypeError(`Cannot build ${this.#call()}: ${problem}`);
  }

  /** An error about a shape or a value. */
  range(problem: string): RangeError {
    return new RangeError(`Cannot build ${this.#call()}: ${problem}`);
  }

  /** @throws {TypeError} if the operand is of none of the types */
  requireType(name: string, ...allowed: readonly DType[]): void {
    const tensor = this.#get(name);
    if (!allowed.includes(tensor.dtype)) {
      throw this.type(`${name} must be ${allowed.join(" or ")}, not ${tensor.dtype}`);
    }
  }

  /** @throws {RangeError} if the operand has another number of dimensions */
  requireRank(name: string, ...allowed: readonly number[]): void {
    const { shape } = this.#get(name);
    if (!allowed.includes(shape.length)) {
      throw this.range(`${name} must have ${allowed.join(" or ")} dimensions, not ${shape.length}`);
    }
  }

  /** The fixed dimension `axis` of an operand. @throws {RangeError} if it is dynamic */
  fixed(name: string, axis: number): number {
    const dimension = this.#dimension(name, axis);
    if (typeof dimension !== "number") {
      throw this.range(`dimension ${axis} of ${name} must be fixed, not the dynamic "${dimension.name}"`);
    }
    return dimension;
  }

  /** The leading dimension of an operand. */
  leading(name: string): number | Rows {
    return this.#dimension(name, 0);
  }

  /** @throws {RangeError} if the shapes differ */
  requireSameShape(name: string, other: string): void {
    if (!sameShape(this.#get(name).shape, this.#get(other).shape)) {
      throw this.range(`${name} and ${other} must have the same shape`);
    }
  }

  /** @throws {RangeError} if the leading dimensions differ */
  requireSameRows(name: string, other: string): void {
    const mine = this.leading(name);
    const theirs = this.leading(other);
    if (mine === theirs) return;
    const sameMaximum = maximum(mine) === maximum(theirs);
    throw this.range(
      `${name} and ${other} must have the same rows` +
        (sameMaximum ? "; two dynamic dimensions are the same only if they are one object" : ""),
    );
  }

  /** @throws {RangeError} if a dimension is not the number it must be, with the reason */
  requireDimension(name: string, axis: number, expected: number, why: string): void {
    const dimension = this.#dimension(name, axis);
    if (dimension !== expected) throw this.range(`dimension ${axis} of ${name} must be ${expected} (${why})`);
  }

  /** @throws {RangeError} if an option is not a whole number from 1 to `most` */
  requireCount(option: string, value: number, most: number = Number.MAX_SAFE_INTEGER): void {
    if (!Number.isSafeInteger(value) || value < 1 || value > most) {
      const upper = most === Number.MAX_SAFE_INTEGER ? "" : ` to ${most}`;
      throw this.range(`${option} must be a whole number from 1${upper}, not "${value}"`);
    }
  }

  /** @throws {RangeError} if an option is not a finite number */
  requireFinite(option: string, value: number): void {
    if (!Number.isFinite(value)) throw this.range(`${option} must be a finite number, not "${value}"`);
  }

  /** How many times `part` goes into `whole`. @throws {RangeError} if not a whole number of times */
  quotient(whole: number, part: number, what: string): number {
    if (whole % part !== 0) throw this.range(`${what}: ${whole} is not a multiple of ${part}`);
    return whole / part;
  }

  /**
   * Indices that a plan can hold to their limit: given by the caller per run, or below it by construction.
   *
   * @throws {TypeError} if they are the result of an operation that may be out of range
   */
  requireIndices(name: string, limit: Dimension, of: string): void {
    const { below } = this.#get(name);
    if (below === undefined) this.requireCallerIndices(name);
    else if (typeof limit !== "number" || below > limit) {
      throw this.range(`${name} can be up to ${below - 1}, beyond the ${of}`);
    }
  }

  /** @throws {TypeError} if the indices are neither words, nor an input, nor a constant */
  requireCallerIndices(name: string): void {
    if (this.#get(name).source.kind === "result") {
      throw this.type(`${name} must be words or an input, so that they can be checked before a run`);
    }
  }

  /** @throws {TypeError | RangeError} if the operands are no constants, or share bytes */
  requireSeparateMemory(...names: readonly string[]): void {
    const ranges = names.map((name) => {
      const { source, byteLength } = this.#get(name);
      if (source.kind !== "constant")
        throw this.type(`${name} must be a constant: memory that outlives a run`);
      return { ...source, end: source.byteOffset + byteLength };
    });
    for (const a of ranges) {
      for (const b of ranges) {
        if (a !== b && a.memory === b.memory && a.byteOffset < b.end && b.byteOffset < a.end) {
          throw this.range(`${names.join(" and ")} share memory`);
        }
      }
    }
  }

  #get(name: string): Tensor {
    const tensor = this.#tensors[name];
    if (tensor === undefined) throw new TypeError(`${this.#operation} has no operand "${name}"`);
    return tensor;
  }

  #dimension(name: string, axis: number): Dimension {
    const dimension = this.#get(name).shape[axis];
    if (dimension === undefined) throw this.range(`${name} has no dimension ${axis}`);
    return dimension;
  }
}

/** A shape with another last dimension. */
export function withRowLength(shape: Shape, length: number): Shape {
  return [...shape.slice(0, -1), length];
}
