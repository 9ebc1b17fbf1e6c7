/**
 * Shapes: rows of fixed length. Only the leading dimension may change between runs; a `Rows` then stands in its
 * place, and memory is planned for its maximum.
 */

import { type DType, rowBytes } from "./dtype.ts";

/**
 * A leading dimension that is set before each run, from 0 to `max`. Two tensors agree in it when they share the same
 * `Rows`, not when two maxima happen to be equal. Made by `Graph.rows`.
 */
export class Rows {
  /** What errors and `Plan.setRows` call it. */
  readonly name: string;
  /** Most rows of a run. */
  readonly max: number;
  /** Index of the run's dynamic word that holds the number. */
  readonly word: number;

  constructor(name: string, max: number, word: number) {
    this.name = name;
    this.max = max;
    this.word = word;
  }
}

/** Kernels count in 32 bits. */
const MAX_DIMENSION = 2 ** 32 - 1;

/** One dimension: a number of at least 1, or `Rows` where it leads. */
export type Dimension = number | Rows;

/** Dimensions, outermost first. `[rows, n]` is `rows` rows of `n` contiguous elements. */
export type Shape = readonly Dimension[];

/** A number of rows: fixed, or a multiple of what a `Rows` is set to. */
export type Extent = number | { readonly rows: Rows; readonly factor: number };

/** The most that a dimension can be. */
export function maximum(dimension: Dimension): number {
  return typeof dimension === "number" ? dimension : dimension.max;
}

/** `[5, 64]`, or `[rows<=256, 64]` with a dynamic dimension. */
export function formatShape(shape: Shape): string {
  return `[${shape.map((d) => (typeof d === "number" ? d : `${d.name}<=${d.max}`)).join(", ")}]`;
}

/** True where both have the same dimensions, with the same `Rows` in front. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, i) => dimension === b[i]);
}

/** The last dimension: the length of one row. */
export function rowLength(shape: Shape): number {
  const last = shape.at(-1);
  return typeof last === "number" ? last : 1;
}

/** Product of all dimensions but the last: how many rows of `rowLength` there are. */
export function rowExtent(shape: Shape): Extent {
  const leading = shape[0];
  let factor = 1;
  for (let axis = 1; axis < shape.length - 1; axis++) factor *= maximum(shape[axis]);
  if (typeof leading === "object") return { rows: leading, factor };
  return shape.length > 1 ? leading * factor : 1;
}

/** The most that an extent can be. */
export function extentMaximum(extent: Extent): number {
  return typeof extent === "number" ? extent : extent.rows.max * extent.factor;
}

/** Elements at the maximum of a dynamic dimension. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const dimension of shape) count *= maximum(dimension);
  return count;
}

/** Bytes at the maximum of a dynamic dimension. */
export function shapeBytes(dtype: DType, shape: Shape): number {
  return extentMaximum(rowExtent(shape)) * rowBytes(dtype, rowLength(shape));
}

/**
 * Refuses shapes that no tensor can have.
 *
 * @throws {TypeError} if a dimension other than the first is dynamic
 * @throws {RangeError} if there are no dimensions, one is not a whole number from 1, a row is not whole blocks, or the
 * bytes do not fit into 2^53
 */
export function checkShape(what: string, dtype: DType, shape: Shape): void {
  if (shape.length === 0) throw new RangeError(`${what} has no dimensions: give a single number as [1]`);
  for (let i = 0; i < shape.length; i++) {
    const dimension = shape[i];
    if (typeof dimension === "object") {
      if (i > 0)
        throw new TypeError(
          `${what} has a dynamic dimension at ${i} in ${formatShape(shape)}: only the first can be`,
        );
    } else if (!Number.isSafeInteger(dimension) || dimension < 1 || dimension > MAX_DIMENSION) {
      throw new RangeError(
        `${what} has dimension "${dimension}" in ${formatShape(shape)}: it must be a whole number from 1 to ${MAX_DIMENSION}`,
      );
    }
  }
  let bytes: number;
  try {
    bytes = shapeBytes(dtype, shape);
  } catch (cause) {
    throw new RangeError(`${what} cannot be ${dtype} ${formatShape(shape)}: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!Number.isSafeInteger(bytes))
    throw new RangeError(`${what} of ${dtype} ${formatShape(shape)} is too large to address`);
}
