/**
 * Operations that one kernel does in one pass over memory:
 * - silu, then mul with it -> siluMul (the middle of SwiGLU); gelu likewise (GeGLU)
 * - add, then rmsNorm of the sum -> addRmsNorm (residual and the norm behind it)
 *
 * In the work of one token, products take over their neighbours, so that a layer is a handful of dispatches:
 * - two products of the same row, then siluMul of them -> matvecFused (gate and up)
 * - a product, then add -> matvecFused (residual)
 * - rmsNorm, then products of it -> matvecFused, each of which normalises for itself
 */

import type { Operation } from "./operation.ts";
import { Add, Gelu, GeluMul, Mul, Silu, SiluMul } from "./ops/elementwise.ts";
import { Matmul } from "./ops/matmul.ts";
import { MatvecFused } from "./ops/matvec_fused.ts";
import { AddRmsNorm, RmsNorm } from "./ops/norm.ts";
import { maximum } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { Uses } from "./uses.ts";

/**
 * Replaces operations wherever nobody can tell.
 *
 * @param operations in the order in which they run
 * @param kept tensors that are read after the run, and so must exist
 */
export function fuse(operations: readonly Operation[], kept: ReadonlySet<Tensor>): Operation[] {
  let current = [...operations];
  let uses = new Uses(current, kept);
  for (const pass of PASSES) {
    const replaced: Replacements = new Map();
    for (const operation of current) pass(operation, uses, replaced);
    if (replaced.size === 0) continue;
    const next: Operation[] = [];
    for (const operation of current) {
      const remains = replaced.has(operation) ? replaced.get(operation) : operation;
      if (remains !== undefined) next.push(remains);
    }
    current = next;
    uses = new Uses(current, kept);
  }
  return current;
}

type Replacements = Map<Operation, Operation | undefined>;
type Pass = (operation: Operation, uses: Uses, replaced: Replacements) => void;

/** Each sees what those before it have made: a product takes the residual before a norm could. */
const PASSES: readonly Pass[] = [
  fuseGatedMul,
  fuseGatedProducts,
  fuseResidual,
  fuseNormOfProducts,
  fuseAddRmsNorm,
];

/**
 * The silu or gelu moves down to the mul. Legal if the mul alone reads it, once, and the gate still has the same bytes
 * there.
 */
function fuseGatedMul(mul: Operation, uses: Uses, replaced: Replacements): void {
  if (!(mul instanceof Mul)) return;
  const [a, b] = mul.inputs;
  if (a === b) return;
  for (const [factor, up] of [
    [a, b],
    [b, a],
  ] as const) {
    const activation = uses.producer(factor);
    if (!(activation instanceof Silu || activation instanceof Gelu)) continue;
    const [gate] = activation.inputs;
    if (uses.isKept(factor) || uses.readers(factor).length !== 1) continue;
    if (uses.isWrittenBetween(gate, activation, mul)) continue;
    const Fused = activation instanceof Silu ? SiluMul : GeluMul;
    replaced.set(activation, undefined);
    replaced.set(mul, new Fused([gate, up], mul.out));
    return;
  }
}

/** The norm moves up to the add, which still makes the sum. Legal if the norm's weight has the same bytes there. */
function fuseAddRmsNorm(add: Operation, uses: Uses, replaced: Replacements): void {
  if (!(add instanceof Add)) return;
  const [a, b] = add.inputs;
  const norm = uses
    .readers(add.out)
    .find(
      (reader): reader is RmsNorm => reader instanceof RmsNorm && reader.x === add.out && reader.parts === 1,
    );
  if (norm === undefined) return;
  const weightMaker = uses.producer(norm.weight);
  if (weightMaker !== undefined && !uses.isBefore(weightMaker, add)) return;
  if (uses.isWrittenBetween(norm.weight, add, norm)) return;
  replaced.set(norm, undefined);
  replaced.set(add, new AddRmsNorm(a, b, norm.weight, add.out, norm.out, norm.eps));
}

/** A product of a single row that one operation alone reads. */
function soleProduct(tensor: Tensor, reader: Operation, uses: Uses): Matmul | undefined {
  const product = uses.producer(tensor);
  if (!(product instanceof Matmul) || !isOfOneRow(product)) return undefined;
  if (uses.isKept(tensor) || uses.readers(tensor).length !== 1) return undefined;
  const isSame = product.inputs.every((input) => !uses.isWrittenBetween(input, product, reader));
  return isSame ? product : undefined;
}

function isOfOneRow({ x, kernel }: Matmul): boolean {
  return maximum(x.shape[0]) === 1 && kernel === undefined;
}

/** Gate and up move down to what multiplies them. */
function fuseGatedProducts(gated: Operation, uses: Uses, replaced: Replacements): void {
  if (!(gated instanceof SiluMul || gated instanceof GeluMul)) return;
  const [gate, up] = gated.inputs.map((input) => soleProduct(input, gated, uses));
  if (gate === undefined || up === undefined || gate === up || gate.x !== up.x) return;
  if (gate.weight.dtype !== up.weight.dtype) return;
  const kind = gated instanceof SiluMul ? "silu" : "gelu";
  const ending = { kind, second: up.weight } as const;
  replaced.set(gate, undefined);
  replaced.set(up, undefined);
  replaced.set(gated, new MatvecFused(gate.x, gate.weight, undefined, ending, gated.out));
}

/** The product moves down to the add. */
function fuseResidual(add: Operation, uses: Uses, replaced: Replacements): void {
  if (!(add instanceof Add)) return;
  const [a, b] = add.inputs;
  if (a === b) return;
  for (const [factor, residual] of [
    [b, a],
    [a, b],
  ] as const) {
    const product = soleProduct(factor, add, uses);
    if (product === undefined || replaced.has(product)) continue;
    const ending = { kind: "add", residual } as const;
    replaced.set(product, undefined);
    replaced.set(add, new MatvecFused(product.x, product.weight, undefined, ending, add.out));
    return;
  }
}

/** The norm moves down to all products of it. Legal if nothing else reads it. */
function fuseNormOfProducts(norm: Operation, uses: Uses, replaced: Replacements): void {
  if (!(norm instanceof RmsNorm) || norm.parts !== 1 || uses.isKept(norm.out)) return;
  const products = uses.readers(norm.out);
  const canTake = (reader: Operation): reader is Matmul | MatvecFused =>
    ((reader instanceof Matmul && isOfOneRow(reader)) || (reader instanceof MatvecFused && !reader.norm)) &&
    reader.inputs.filter((input) => input === norm.out).length === 1 &&
    reader.x === norm.out &&
    norm.inputs.every((input) => !uses.isWrittenBetween(input, norm, reader));
  if (products.length === 0 || !products.every(canTake)) return;
  replaced.set(norm, undefined);
  for (const product of products) {
    const ending = product instanceof MatvecFused ? product.ending : ({ kind: "none" } as const);
    const { weight, eps } = norm;
    replaced.set(product, new MatvecFused(norm.x, product.weight, { weight, eps }, ending, product.out));
  }
}
