/**
 * Which bytes an operation touches.
 */

import type { MemoryRange } from "./hazards.ts";
import type { Operation } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/** What one operation reads and writes. */
export interface Access {
  readonly reads: readonly MemoryRange[];
  readonly writes: readonly MemoryRange[];
}

/** The memory of constants that operations write: caches, and not weights. */
export function writtenMemory(operations: readonly Operation[]): ReadonlySet<unknown> {
  return new Set(operations.flatMap(({ writes }) => writes.map((tensor) => ownRange(tensor).memory)));
}

/**
 * The ranges of an operation's operands, but for what no operation writes: words, inputs, and constants in other memory than
 * `written`.
 */
export function accessOf(
  operation: Operation,
  rangeOf: (tensor: Tensor) => MemoryRange,
  written: ReadonlySet<unknown>,
): Access {
  const isWritable = ({ source }: Tensor): boolean =>
    source.kind === "result" || (source.kind === "constant" && written.has(source.memory));
  return {
    reads: operation.inputs.filter(isWritable).map(rangeOf),
    writes: [...operation.outputs, ...operation.writes].map(rangeOf),
  };
}

/** The bytes of a tensor where no two results share any: what the data alone requires. */
export function ownRange(tensor: Tensor): MemoryRange {
  if (tensor.source.kind === "constant") {
    const { memory, byteOffset } = tensor.source;
    return { memory, start: byteOffset, end: byteOffset + tensor.byteLength };
  }
  return { memory: tensor, start: 0, end: tensor.byteLength };
}

/** True where two tensors have bytes in common: the same result, or constants that overlap. */
export function shareBytes(a: Tensor, b: Tensor): boolean {
  const x = ownRange(a);
  const y = ownRange(b);
  return x.memory === y.memory && x.start < y.end && y.start < x.end;
}
