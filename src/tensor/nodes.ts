/**
 * What a graph is made of: tensors, operations, outputs, and the layout of the run's dynamic words. No device and no
 * buffer: all planning works on this.
 */

import { type DType, dtypes } from "./dtype.ts";
import type { Operation } from "./operation.ts";
import { checkShape, type Dimension, elementCount, formatShape, Rows, type Shape } from "./shape.ts";
import { type Memory, type Source, Tensor, type TensorOwner } from "./tensor.ts";

/** Word arrays start at multiples of this many words: 256 bytes, which any kernel argument may be bound at. */
const WORD_ALIGNMENT = 64;
/** Most dynamic words of a program (BM_MAX_DYNAMIC_WORDS in bridge/bun_metal.h). */
const MAX_WORDS = 1 << 20;

/** A kept result. */
export interface Output {
  readonly name: string;
  readonly tensor: Tensor;
}

/** The graph without a device. */
export class Nodes implements TensorOwner {
  readonly #names = new Set<string>();
  readonly #rows: Rows[] = [];
  readonly #tensors: Tensor[] = [];
  readonly #operations: Operation[] = [];
  readonly #outputs: Output[] = [];
  #wordCount = 0;

  /** Dynamic dimensions, in order of creation. */
  get dynamicRows(): readonly Rows[] {
    return this.#rows;
  }

  /** All tensors, in order of creation: `tensors[i].id === i`. */
  get tensors(): readonly Tensor[] {
    return this.#tensors;
  }

  /** All operations, in order of creation, which is also an order in which they can run. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  get outputs(): readonly Output[] {
    return this.#outputs;
  }

  /** Dynamic words in use: row numbers and word arrays. */
  get wordCount(): number {
    return this.#wordCount;
  }

  /**
   * A leading dimension that is set before each run with `plan.setRows(name, count)`.
   *
   * @param max most rows of a run; memory is planned for it
   */
  rows(name: string, max: number): Rows {
    this.#claim(name);
    if (!Number.isSafeInteger(max) || max < 1) {
      throw new RangeError(
        `Rows "${name}" cannot have a maximum of "${max}": it must be a whole number from 1`,
      );
    }
    const rows = new Rows(name, max, this.#takeWords(name, 1));
    this.#rows.push(rows);
    return rows;
  }

  /**
   * Numbers that travel with each run: token ids, positions, slots, block tables. The plan gives them as a live array,
   * `plan.u32(name)`.
   *
   * @param shape a length, a `Rows`, or dimensions
   * @returns u32 of that shape
   */
  words(name: string, shape: Dimension | Shape): Tensor {
    const dimensions = Array.isArray(shape) ? (shape as Shape) : [shape as Dimension];
    checkShape(`Words "${name}"`, "u32", dimensions);
    this.#claim(name);
    const word = this.#takeWords(name, elementCount(dimensions));
    return this.#tensor("u32", dimensions, { kind: "words", name, word });
  }

  /**
   * Memory of the caller's, which stays theirs: weights in a mapped file, a cache that kernels write. It must outlive
   * the plans.
   *
   * @param byteOffset where the tensor starts, a multiple of its type's alignment. Default: 0
   */
  constant(memory: Memory, dtype: DType, shape: Shape, byteOffset = 0): Tensor {
    const what = `Constant at byte ${byteOffset}`;
    checkShape(what, dtype, shape);
    if (typeof shape[0] === "object")
      throw new TypeError(`${what} cannot have the dynamic shape ${formatShape(shape)}`);
    const { alignment } = dtypes[dtype];
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % alignment !== 0) {
      throw new RangeError(`${what} cannot be ${dtype}: the offset must be a multiple of ${alignment}`);
    }
    const tensor = this.#tensor(dtype, shape, { kind: "constant", memory, byteOffset });
    if (byteOffset + tensor.byteLength > memory.byteLength) {
      throw new RangeError(
        `${what} of ${tensor} takes ${tensor.byteLength} bytes and does not fit into a buffer of ${memory.byteLength}`,
      );
    }
    return tensor;
  }

  /** A tensor that the caller fills: `plan.set(name, values)`. It keeps its values from run to run. */
  input(name: string, dtype: DType, shape: Shape): Tensor {
    checkShape(`Input "${name}"`, dtype, shape);
    this.#claim(name);
    return this.#tensor(dtype, shape, { kind: "input", name });
  }

  /** Keeps a result in a buffer of its own, to be read after a run: `plan.f32(name)`. */
  output(tensor: Tensor, name: string): void {
    if (tensor.owner !== this) throw new TypeError(`Output "${name}" belongs to another graph`);
    if (tensor.source.kind !== "result") {
      throw new TypeError(
        `Output "${name}" is not the result of an operation but ${tensor.source.kind}: use convert to copy it`,
      );
    }
    const other = this.#outputs.find((output) => output.tensor === tensor);
    if (other !== undefined) throw new TypeError(`Output "${name}" is already the output "${other.name}"`);
    this.#claim(name);
    this.#outputs.push({ name, tensor });
  }

  /** @internal for operations */
  result(dtype: DType, shape: Shape, below?: number): Tensor {
    checkShape("Result", dtype, shape);
    return this.#tensor(dtype, shape, { kind: "result" }, below);
  }

  /** @internal for operations */
  append(operation: Operation): void {
    this.#operations.push(operation);
  }

  #tensor(dtype: DType, shape: Shape, source: Source, below?: number): Tensor {
    // Nobody can change a shape that is frozen: most are another tensor's.
    const own = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
    const tensor = new Tensor(this, this.#tensors.length, dtype, own, source, below);
    this.#tensors.push(tensor);
    return tensor;
  }

  #takeWords(name: string, count: number): number {
    const start =
      count === 1 ? this.#wordCount : Math.ceil(this.#wordCount / WORD_ALIGNMENT) * WORD_ALIGNMENT;
    if (start + count > MAX_WORDS) {
      throw new RangeError(
        `Words "${name}" take ${count} of the ${MAX_WORDS - this.#wordCount} words left of a run: use an input for large data`,
      );
    }
    this.#wordCount = start + count;
    return start;
  }

  #claim(name: string): void {
    if (name === "") throw new RangeError("A name of a graph cannot be empty");
    if (this.#names.has(name)) throw new RangeError(`The graph has a "${name}" already: names are unique`);
    this.#names.add(name);
  }
}
