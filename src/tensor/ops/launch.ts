/**
 * How operations describe their launches: packed arguments and the grids that families share.
 */

import { type DType, dtypes } from "../dtype.ts";
import type { GridAxis, KernelTarget } from "../operation.ts";
import { rowExtent, rowLength, type Shape } from "../shape.ts";

/** A field of an argument struct: a u32 as it is, a float as `{ f32 }`. */
export type ArgumentField = number | { readonly f32: number };

/** Packs fields as a Metal struct of 4-byte members, in the order given. */
export function packArguments(...fields: readonly ArgumentField[]): Uint8Array {
  const bytes = new Uint8Array(fields.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (typeof field === "number") view.setUint32(i * 4, field, true);
    else view.setFloat32(i * 4, field.f32, true);
  }
  return bytes;
}

/** Threads of an elementwise threadgroup; each makes one element. */
export const ELEMENTWISE_THREADS = 256;

/** Elements that a thread of `embed` and `convert` reads: a chunk where they lie in blocks (`ChunkSize` in shaders/tiles.h). */
export function elementsPerThread(source: DType): number {
  return dtypes[source].blockLength > 1 ? 16 : 1;
}

/** A single threadgroup along an axis. */
export const ONE_GROUP: GridAxis = { extent: 1, itemsPerGroup: 1 };

/** One threadgroup per row. */
export function groupPerRow(shape: Shape): GridAxis {
  return { extent: rowExtent(shape), itemsPerGroup: 1 };
}

/** Grid of a kernel in which a thread makes `elements / items` elements: columns along x, rows along y. */
export function elementwiseGrid(shape: Shape, elementsPerThread = 1): readonly [GridAxis, GridAxis] {
  const columns = {
    extent: Math.ceil(rowLength(shape) / elementsPerThread),
    itemsPerGroup: ELEMENTWISE_THREADS,
  };
  return [columns, groupPerRow(shape)];
}

/**
 * Threads for a kernel in which one threadgroup reduces a row of `length`: whole SIMD groups, about four elements a
 * thread, and at most 256, which every pipeline of every device can run. One thread where lanes are serial.
 */
export function reductionThreads(length: number, target: KernelTarget): number {
  if (target.serialLanes) return 1;
  return Math.min(256, Math.max(32, Math.ceil(length / 4 / 32) * 32));
}
