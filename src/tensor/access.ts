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

/** The ranges of an operation's operands; words and inputs are left out, since no operation writes them. */
export function accessOf(operation: Operation, rangeOf: (tensor: Tensor) => MemoryRange): Access {
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

function isWritable({ source }: Tensor): boolean {
  return source.kind === "constant" || source.kind === "result";
}
