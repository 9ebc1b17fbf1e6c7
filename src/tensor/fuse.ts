/**
 * Pairs of operations that one kernel does in one pass over memory:
 * - silu, then mul with it -> siluMul (the middle of SwiGLU); gelu likewise (GeGLU)
 * - add, then rmsNorm of the sum -> addRmsNorm (residual and the norm behind it)
 */

import { shareBytes } from "./access.ts";
import type { Operation } from "./operation.ts";
import { Add, Gelu, GeluMul, Mul, Silu, SiluMul } from "./ops/elementwise.ts";
import { AddRmsNorm, RmsNorm } from "./ops/norm.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Replaces pairs wherever nobody can tell.
 *
 * @param operations in the order in which they run
 * @param kept tensors that are read after the run, and so must exist
 */
export function fuse(operations: readonly Operation[], kept: ReadonlySet<Tensor>): Operation[] {
  const uses = new Uses(operations, kept);
  const replaced = new Map<Operation, Operation | undefined>();
  for (const operation of operations) {
    if (operation instanceof Mul) fuseGatedMul(operation, uses, replaced);
    else if (operation instanceof Add) fuseAddRmsNorm(operation, uses, replaced);
  }
  return operations.flatMap((operation) => {
    if (!replaced.has(operation)) return [operation];
    return replaced.get(operation) ?? [];
  });
}

type Replacements = Map<Operation, Operation | undefined>;

/**
 * The silu or gelu moves down to the mul. Legal if the mul alone reads it, once, and the gate still has the same bytes
 * there.
 */
function fuseGatedMul(mul: Mul, uses: Uses, replaced: Replacements): void {
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
function fuseAddRmsNorm(add: Add, uses: Uses, replaced: Replacements): void {
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

/** Who makes, reads and overwrites what. */
class Uses {
  readonly #operations: readonly Operation[];
  readonly #kept: ReadonlySet<Tensor>;
  readonly #index = new Map<Operation, number>();
  readonly #producer = new Map<Tensor, Operation>();
  readonly #readers = new Map<Tensor, Operation[]>();

  constructor(operations: readonly Operation[], kept: ReadonlySet<Tensor>) {
    this.#operations = operations;
    this.#kept = kept;
    operations.forEach((operation, i) => {
      this.#index.set(operation, i);
      for (const output of operation.outputs) this.#producer.set(output, operation);
      for (const input of new Set(operation.inputs)) {
        const readers = this.#readers.get(input);
        if (readers === undefined) this.#readers.set(input, [operation]);
        else readers.push(operation);
      }
    });
  }

  producer(tensor: Tensor): Operation | undefined {
    return this.#producer.get(tensor);
  }

  /** Operations that read the tensor, in order, each once. */
  readers(tensor: Tensor): readonly Operation[] {
    return this.#readers.get(tensor) ?? [];
  }

  isKept(tensor: Tensor): boolean {
    return this.#kept.has(tensor);
  }

  isBefore(a: Operation, b: Operation): boolean {
    return this.#position(a) < this.#position(b);
  }

  /** True where an operation strictly between two others writes into the memory of a constant. */
  isWrittenBetween(tensor: Tensor, from: Operation, to: Operation): boolean {
    return this.#operations
      .slice(this.#position(from) + 1, this.#position(to))
      .some((operation) => operation.writes.some((written) => shareBytes(written, tensor)));
  }

  #position(operation: Operation): number {
    return this.#index.get(operation) ?? -1;
  }
}
