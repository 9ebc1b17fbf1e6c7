/**
 * Which operations have to wait for which: one that reads what another writes, and one that writes what another reads or
 * writes, waits for the other where that comes before it. All others may overlap.
 *
 * Knows bytes and nothing of Metal.
 */

import type { Operation } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/** For each operation, those before it that it has to wait for. */
export type Dependencies = ReadonlyMap<Operation, readonly Operation[]>;

/** That an operation reads or writes a constant. */
interface Touch {
  readonly operation: Operation;
  readonly tensor: Tensor;
  readonly isWrite: boolean;
}

/**
 * The dependencies of operations of one graph.
 *
 * @param operations an order in which they can run
 */
export function dependenciesOf(operations: readonly Operation[]): Dependencies {
  const producers: (Operation | undefined)[] = []; // by number of the result
  const touches = new Map<unknown, Touch[]>(); // by memory that operations write: caches, and not weights
  for (const { writes } of operations) for (const tensor of writes) touches.set(memoryOf(tensor), []);

  const dependencies = new Map<Operation, Operation[]>();
  for (const operation of operations) {
    const awaited: Operation[] = [];
    const touch = (tensor: Tensor, isWrite: boolean): void => {
      const earlier = touches.get(memoryOf(tensor));
      if (earlier === undefined) return;
      for (const other of earlier) {
        const conflicts = (isWrite || other.isWrite) && other.operation !== operation;
        if (conflicts && shareBytes(tensor, other.tensor)) awaited.push(other.operation);
      }
      earlier.push({ operation, tensor, isWrite });
    };
    for (const input of operation.inputs) {
      const producer = producers[input.id];
      if (producer !== undefined) awaited.push(producer);
      else if (input.source.kind === "constant") touch(input, false);
    }
    for (const written of operation.writes) touch(written, true);
    for (const output of operation.outputs) producers[output.id] = operation;
    dependencies.set(operation, awaited);
  }
  return dependencies;
}

/**
 * The stretch between barriers that each operation runs in, from 0: a barrier comes before one that has to wait for
 * another of the same stretch.
 */
export function phasesOf(operations: readonly Operation[], dependencies: Dependencies): number[] {
  const phaseOf = new Map<Operation, number>();
  let phase = 0;
  return operations.map((operation) => {
    if (dependencies.get(operation)?.some((other) => phaseOf.get(other) === phase)) phase++;
    phaseOf.set(operation, phase);
    return phase;
  });
}

/** True where two tensors have bytes in common: the same tensor, or constants that overlap. */
export function shareBytes(a: Tensor, b: Tensor): boolean {
  if (a === b) return true;
  const [x, y] = [a.source, b.source];
  if (x.kind !== "constant" || y.kind !== "constant" || x.memory !== y.memory) return false;
  return x.byteOffset < y.byteOffset + b.byteLength && y.byteOffset < x.byteOffset + a.byteLength;
}

/** What a constant lives in; nothing else is written more than once. */
function memoryOf({ source }: Tensor): unknown {
  return source.kind === "constant" ? source.memory : undefined;
}
