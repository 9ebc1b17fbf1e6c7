/**
 * Who makes, reads and overwrites what in a list of operations.
 */

import { shareBytes } from "./access.ts";
import type { Operation } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/** Built for one order of operations. */
export class Uses {
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
