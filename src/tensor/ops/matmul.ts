/**
 * x times the transpose of a weight matrix, in the layout that model files have: a weight row per output.
 * Four kernel families: `matvec` (a SIMD group per four outputs, each row of x on its own), `matvec_tiled` (the same
 * with x staged through threadgroup memory), `matvec_rows` (the same for four rows of x at once), `matmul` (32 x 32 tiles
 * with simdgroup_matrix).
 */

import { weightDTypes } from "../dtype.ts";
import { type Binding, type Dispatch, type GridAxis, type KernelTarget, Operation } from "../operation.ts";
import { maximum } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { groupPerRow, packArguments } from "./launch.ts";

const KERNELS = ["matvec", "matvec_tiled", "matvec_rows", "matmul"] as const;

/** The kernel families of `matmul`. */
export type MatmulKernel = (typeof KERNELS)[number];

/**
 * Fewest rows (the maximum, where the number is dynamic) for which `matmul` reads the weights once per 32 rows with
 * simdgroup_matrix. Below, most of a 32-row tile would be padding, and the matvec kernels waste little.
 */
export const MATMUL_MIN_ROWS = 8;

/** A matvec threadgroup: two SIMD groups, each of which makes four outputs (shaders/tiles.h). */
const MATVEC_SIMDGROUPS = 2;
const SIMD_WIDTH = 32;
const OUTPUTS_PER_SIMDGROUP = 4;
/** Rows for which matvec_rows reads each weight once (shaders/tiles.h). */
const MATVEC_ROWS = 4;
/** Outputs and rows of one matmul tile, and its four SIMD groups (shaders/tiles.h). */
const MATMUL_TILE = 32;
const MATMUL_THREADS = 128;

/** out[r, i] = sum over j of x[r, j] * weight[i, j] */
export class Matmul extends Operation {
  readonly name = "matmul";
  readonly x: Tensor; // f32 [rows, k]
  readonly weight: Tensor; // [n, k]
  readonly out: Tensor; // f32 [rows, n]
  readonly kernel: MatmulKernel | undefined;

  constructor(x: Tensor, weight: Tensor, out: Tensor, kernel?: MatmulKernel) {
    super([x, weight], [out]);
    this.x = x;
    this.weight = weight;
    this.out = out;
    this.kernel = kernel;
  }

  override encode(target: KernelTarget): Dispatch {
    const [rows] = this.x.shape;
    const [n, k] = this.weight.shape.map(maximum);
    const family = this.kernel ?? suitableKernel(target, maximum(rows));
    const row = groupPerRow(this.x.shape);
    const isTiled = family === "matmul";
    const rowsPerGroup = isTiled ? MATMUL_TILE : family === "matvec_rows" ? MATVEC_ROWS : 1;
    const bindings: Binding[] = [this.weight, this.x, this.out];
    if (rowsPerGroup > 1) bindings.push({ rowCount: row.extent });
    const { outputs, threads } = isTiled
      ? { outputs: { extent: n, itemsPerGroup: MATMUL_TILE }, threads: MATMUL_THREADS }
      : matvecLaunch(n, target);
    return {
      kernel: `${family}_${this.weight.dtype}`,
      bindings,
      args: packArguments(n, k),
      grid: [outputs, { extent: row.extent, itemsPerGroup: rowsPerGroup }],
      threads,
    };
  }
}

/** The outputs of a matvec kernel as an axis of its grid, and the threads of a threadgroup. */
export function matvecLaunch(
  n: number,
  target: KernelTarget,
): { readonly outputs: GridAxis; readonly threads: number } {
  const simdgroups = target.serialLanes ? 1 : MATVEC_SIMDGROUPS;
  return {
    outputs: { extent: n, itemsPerGroup: simdgroups * OUTPUTS_PER_SIMDGROUP },
    threads: target.serialLanes ? 1 : simdgroups * SIMD_WIDTH,
  };
}

function suitableKernel(target: KernelTarget, rows: number): MatmulKernel {
  if (target.simdgroupMatrix && !target.serialLanes && rows >= MATMUL_MIN_ROWS) return "matmul";
  return rows > 1 ? "matvec_rows" : "matvec";
}

/**
 * x times the transpose of a weight matrix: out[r, i] is the dot product of row r of `x` and row i of `weight`.
 *
 * @param x f32 [rows, k]
 * @param weight of any type of weights [n, k]
 * @param options `kernel`: forces a kernel family; by default `matvec` for one row, `matmul` from `MATMUL_MIN_ROWS` rows
 * where the device has simdgroup_matrix and lanes are not serial, else `matvec_rows`
 * @returns f32 [rows, n]
 */
export function matmul(x: Tensor, weight: Tensor, options: { readonly kernel?: MatmulKernel } = {}): Tensor {
  const operands = new Operands("matmul", { x, weight });
  operands.requireType("x", "f32");
  operands.requireType("weight", ...weightDTypes);
  operands.requireRank("x", 2);
  operands.requireRank("weight", 2);
  const n = operands.fixed("weight", 0);
  operands.requireDimension(
    "weight",
    1,
    operands.fixed("x", 1),
    "the row length of x; a weight is [outputs, inputs]",
  );
  const { kernel } = options;
  if (kernel !== undefined && !KERNELS.includes(kernel)) throw operands.type(`unknown kernel "${kernel}"`);
  const out = operands.owner.result("f32", [operands.leading("x"), n]);
  operands.owner.append(new Matmul(x, weight, out, kernel));
  return out;
}
