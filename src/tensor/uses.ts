/**
 * Who makes, reads and overwrites what in a list of operations.
 */

import { shareBytes } from "./dependencies.ts";
import type { Operation } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/** Built for one order of operations of a graph. */
export class Uses {
  readonly #operations: readonly Operation[];
  readonly #kept: ReadonlySet<Tensor>;
  readonly #index = new Map<Operation, number>();
  readonly #producer: (Operation | undefined)[] = []; // by number of the tensor
  readonly #readers: (Operation[] | undefined)[] = []; // by number of the tensor

  constructor(operations: readonly Operation[], kept: ReadonlySet<Tensor>) {
    this.#operations = operations;
    this.#kept = kept;
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i];
      this.#index.set(operation, i);
      for (const { id } of operation.outputs) this.#producer[id] = operation;
      for (const { id } of operation.inputs) {
        const readers = this.#readers[id];
        if (readers === undefined) this.#readers[id] = [operation];
        else if (readers.at(-1) !== operation) readers.push(operation);
      }
    }
  }

  producer(tensor: Tensor): Operation | undefined {
    return this.#producer[tensor.id];
  }

  /** Operations that read the tensor, in order, each once. */
  readers(tensor: Tensor): readonly Operation[] {
    return this.#readers[tensor.id] ?? [];
  }

  isKept(tensor: Tensor): boolean {
    return this.#kept.has(tensor);
  }

  isBefore(a: Operation, b: Operation): boolean {
    return this.#position(a) < this.#position(b);
  }

  /** True where an operation strictly between two others writes into the memory of a constant. */
  isWrittenBetween(tensor: Tensor, from: Operation, to: Operation): boolean {
    if (tensor.source.kind !== "constant") return false;
    const end = this.#position(to);
    for (let i = this.#position(from) + 1; i < end; i++) {
      if (this.#operations[i].writes.some((written) => shareBytes(written, tensor))) return true;
    }
    return false;
  }

  #position(operation: Operation): number {
    return this.#index.get(operation) ?? -1;
  }
}
